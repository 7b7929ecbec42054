//! Expressions of derived options: `25_000 * procs`, arithmetic and nothing else.
//!
//! Read once a job, evaluated once a point. There is no code in them: no names but those of numeric
//! options, no conditions, and a bound on how deep they nest.

use super::number::{Division, Number};

/// How deep an expression may nest.
const DEEPEST: u32 = 64;

/// How long one may be, in bytes: a sum of many terms nests too.
const LONGEST: usize = 1000;

/// An expression that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    root: Node,
    names: Vec<Name>,
}

/// A name in an expression: of an option, or `param.x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The name.
    pub(crate) text: String,
    /// The byte of the expression it begins at.
    pub(crate) at: usize,
}

/// What is wrong with an expression, and at which of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misread {
    /// The byte.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(Number),
    /// By its place among the names.
    Name(usize),
    Negated(Box<Node>),
    Pair(Operator, Box<Node>, Box<Node>),
    Rounded(Rounding, Box<Node>),
    Chosen(Choice, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    Floor,
    Ceil,
    Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Least,
    Greatest,
}

impl Expression {
    /// Reads an expression.
    pub(crate) fn read(text: &str) -> Result<Self, Misread> {
        if text.len() > LONGEST {
            return Err(Misread { at: 0, what: format!("longer than {LONGEST} characters") });
        }
        let mut reader = Reader { text, at: 0, names: Vec::new() };
        let root = reader.sum(0)?;
        reader.skip_space();
        match reader.rest().chars().next() {
            None => Ok(Self { root, names: reader.names }),
            Some(c) => Err(reader.wrong(format!("`{c}` is not expected here"))),
        }
    }

    /// Returns the names in it, each once.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// Evaluates it, with a number for each of its names, in their order.
    pub(crate) fn value(&self, given: &[Number]) -> Result<Number, String> {
        value(&self.root, given, Division::Whole)
    }
}

fn value(node: &Node, given: &[Number], division: Division) -> Result<Number, String> {
    match node {
        Node::Number(number) => Ok(*number),
        Node::Name(place) => {
            given.get(*place).copied().ok_or_else(|| "a name has no value".to_owned())
        }
        Node::Negated(inner) => value(inner, given, division)?.negated(),
        Node::Pair(operator, left, right) => {
            let (left, right) = (value(left, given, division)?, value(right, given, division)?);
            match operator {
                Operator::Plus => left.plus(right),
                Operator::Minus => left.plus(right.negated()?),
                Operator::Times => left.times(right),
                Operator::Over => left.over(right, division),
                Operator::Modulo => left.modulo(right),
            }
        }
        Node::Rounded(rounding, inner) => {
            let inner = value(inner, given, Division::Fraction)?;
            Ok(match rounding {
                Rounding::Floor => inner.floor(),
                Rounding::Ceil => inner.ceil(),
                Rounding::Round => inner.round(),
            })
        }
        Node::Chosen(choice, nodes) => {
            let mut chosen: Option<Number> = None;
            for node in nodes {
                let next = value(node, given, division)?;
                let better = chosen.is_none_or(|chosen| match choice {
                    Choice::Least => next.order(chosen).is_lt(),
                    Choice::Greatest => next.order(chosen).is_gt(),
                });
                if better {
                    chosen = Some(next);
                }
            }
            chosen.ok_or_else(|| "nothing to choose from".to_owned())
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    names: Vec<Name>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self, what: String) -> Misread {
        Misread { at: self.at, what }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a character if it is the next one.
    fn takes(&mut self, c: char) -> bool {
        self.skip_space();
        let next = self.rest().starts_with(c);
        if next {
            self.at += c.len_utf8();
        }
        next
    }

    /// Takes as many characters as are of a kind.
    fn take_while(&mut self, kind: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !kind(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn sum(&mut self, depth: u32) -> Result<Node, Misread> {
        let mut left = self.product(depth)?;
        loop {
            let operator = if self.takes('+') {
                Operator::Plus
            } else if self.takes('-') {
                Operator::Minus
            } else {
                return Ok(left);
            };
            left = Node::Pair(operator, Box::new(left), Box::new(self.product(depth)?));
        }
    }

    fn product(&mut self, depth: u32) -> Result<Node, Misread> {
        let mut left = self.factor(depth)?;
        loop {
            let operator = if self.takes('*') {
                Operator::Times
            } else if self.takes('/') {
                Operator::Over
            } else if self.takes('%') {
                Operator::Modulo
            } else {
                return Ok(left);
            };
            left = Node::Pair(operator, Box::new(left), Box::new(self.factor(depth)?));
        }
    }

    fn factor(&mut self, depth: u32) -> Result<Node, Misread> {
        self.skip_space();
        if depth > DEEPEST {
            return Err(self.wrong(format!("nested more than {DEEPEST} deep")));
        }
        if self.takes('-') {
            return Ok(Node::Negated(Box::new(self.factor(depth + 1)?)));
        }
        if self.takes('(') {
            let inner = self.sum(depth + 1)?;
            self.closed()?;
            return Ok(inner);
        }
        match self.rest().chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.named(depth),
            Some(c) => Err(self.wrong(format!("`{c}` is not expected here"))),
            None => Err(self.wrong("it ends where a number or a name should stand".to_owned())),
        }
    }

    fn closed(&mut self) -> Result<(), Misread> {
        if self.takes(')') { Ok(()) } else { Err(self.wrong("a `)` is missing here".to_owned())) }
    }

    fn number(&mut self) -> Result<Node, Misread> {
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit() || c == '_' || c == '.');
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            self.take_while(|c| c.is_ascii_digit());
        }
        // What follows a number at once belongs to it: `4Ki` is no `4` with something behind it.
        self.take_while(|c| c.is_ascii_alphanumeric());
        let text = self.text.get(start..self.at).unwrap_or_default();
        let number = Number::read(&text.replace('_', ""));
        number
            .map(Node::Number)
            .ok_or_else(|| Misread { at: start, what: format!("`{text}` is no number") })
    }

    fn named(&mut self, depth: u32) -> Result<Node, Misread> {
        let start = self.at;
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        if self.takes('(') {
            return self.call(text, start, depth);
        }
        let known = self.names.iter().position(|name| name.text == text);
        Ok(Node::Name(known.unwrap_or_else(|| {
            self.names.push(Name { text: text.to_owned(), at: start });
            self.names.len() - 1
        })))
    }

    fn call(&mut self, function: &str, start: usize, depth: u32) -> Result<Node, Misread> {
        let rounding = match function {
            "floor" => Some(Rounding::Floor),
            "ceil" => Some(Rounding::Ceil),
            "round" => Some(Rounding::Round),
            _ => None,
        };
        if let Some(rounding) = rounding {
            let inner = self.sum(depth + 1)?;
            self.closed()?;
            return Ok(Node::Rounded(rounding, Box::new(inner)));
        }
        let choice = match function {
            "min" => Choice::Least,
            "max" => Choice::Greatest,
            _ => {
                return Err(Misread {
                    at: start,
                    what: format!("no function `{function}`; there are min max floor ceil round"),
                });
            }
        };
        let mut nodes = vec![self.sum(depth + 1)?];
        while self.takes(',') {
            nodes.push(self.sum(depth + 1)?);
        }
        self.closed()?;
        Ok(Node::Chosen(choice, nodes))
    }
}
