//! A page of HTML: one file, that loads nothing and runs nothing.
//!
//! Everything put in is text and is escaped here; markup comes from this file and from pictures alone. So there
//! is no place at which a kernel's parameter or a host's name could become a tag.

use crate::plots::{Picture, style_of_pages};

/// A page that is being written, from its top down.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    body: String,
}

/// What a column of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Text,
    /// Figures, one under the other.
    Figures,
}

/// What a cell says, and below it, smaller, how sure that is.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) small: String,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), small: String::new() }
    }
}

impl Page {
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new() }
    }

    /// Returns the whole file.
    pub(super) fn html(self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            escaped(&self.title),
            style_of_pages(),
            self.body
        )
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.element("h2", "", text);
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.element("p", "", text);
    }

    /// What is said before everything else: the question, the answer, and what there is to say about them.
    pub(super) fn opening(&mut self, question: &str, verdict: &str, about: &str) {
        self.body.push_str("<header>\n");
        self.element("h1", "", question);
        self.element("p", "verdict", verdict);
        self.element("p", "about", about);
        self.body.push_str("</header>\n");
    }

    /// A few figures that are looked for first: what, how much, and how sure.
    pub(super) fn tiles(&mut self, tiles: &[(String, Cell)]) {
        self.body.push_str("<dl class=\"tiles\">\n");
        for (name, cell) in tiles {
            self.body.push_str(&format!(
                "<div><dt>{}</dt><dd>{}{}</dd></div>\n",
                escaped(name),
                escaped(&cell.text),
                small(&cell.small)
            ));
        }
        self.body.push_str("</dl>\n");
    }

    /// Names with what belongs to them.
    pub(super) fn facts<'a>(&mut self, facts: impl IntoIterator<Item = (&'a str, String)>) {
        self.body.push_str("<dl class=\"facts\">\n");
        for (name, fact) in facts {
            let (name, fact) = (escaped(name), escaped(&fact));
            self.body.push_str(&format!("<dt>{name}</dt><dd>{fact}</dd>\n"));
        }
        self.body.push_str("</dl>\n");
    }

    pub(super) fn list<'a>(&mut self, items: impl IntoIterator<Item = &'a str>) {
        let items: Vec<String> =
            items.into_iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect();
        if !items.is_empty() {
            self.body.push_str(&format!("<ul>\n{}</ul>\n", items.concat()));
        }
    }

    /// A table with its caption. A wide one moves within its own frame, never the page.
    pub(super) fn table(&mut self, caption: &str, head: &[(&str, Column)], rows: &[Vec<Cell>]) {
        let class = |at: usize| match head.get(at) {
            Some((_, Column::Figures)) => " class=\"n\"",
            _ => "",
        };
        let names: Vec<String> = head
            .iter()
            .enumerate()
            .map(|(at, (name, _))| format!("<th scope=\"col\"{}>{}</th>", class(at), escaped(name)))
            .collect();
        self.element("p", "caption", caption);
        // Whoever has no pointer moves a frame with the keyboard: so it can be reached by that.
        self.body.push_str(&format!(
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">\n<table>\n\
             <thead><tr>{1}</tr></thead>\n<tbody>\n",
            escaped(caption),
            names.concat()
        ));
        for row in rows {
            self.body.push_str("<tr>");
            for (at, cell) in row.iter().enumerate() {
                let (tag, scope) = if at == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
                self.body.push_str(&format!(
                    "<{tag}{scope}{}>{}{}</{tag}>",
                    class(at),
                    escaped(&cell.text),
                    small(&cell.small)
                ));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody>\n</table>\n</div>\n");
    }

    /// Pictures side by side, as many as there is room for, each with what it tells.
    pub(super) fn figures(&mut self, pictures: &[(&Picture, String)]) {
        self.body.push_str("<div class=\"figures\">\n");
        for (picture, caption) in pictures {
            let inline = picture.inline();
            let caption = escaped(caption);
            self.body.push_str(&format!(
                "<figure>\n{inline}\n<figcaption>{caption}</figcaption>\n</figure>\n"
            ));
        }
        self.body.push_str("</div>\n");
    }

    fn element(&mut self, tag: &str, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.body.push_str(&format!("<{tag}{class}>{}</{tag}>\n", escaped(text)));
    }
}

fn small(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<small>{}</small>", escaped(text)) }
}

/// Text as HTML has it, in an element or in an attribute; control characters, which it has none of, as spaces.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    // A number and its unit are on one line.
    safe.replace(" %", "\u{a0}%")
}

const STYLE: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--text);font:16px/1.5 system-ui,'DejaVu Sans','Noto Sans',sans-serif}
main{max-width:88rem;margin:0 auto;padding:1.5rem clamp(1rem,4vw,3rem) 3rem}
h1{font-size:clamp(1.35rem,1rem + 1.5vw,1.9rem);line-height:1.25;margin:0 0 .75rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem}
p,li{max-width:75ch;overflow-wrap:anywhere}
.verdict{font-size:1.15rem;border-left:4px solid var(--blue);padding:.25rem 0 .25rem .9rem;margin:.5rem 0}
.about,figcaption,.caption,small,.facts dt,.tiles dt{color:var(--faint)}
.about{margin:.75rem 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.75rem;margin:1.25rem 0}
.tiles div{border:1px solid var(--grid);border-radius:6px;padding:.6rem .8rem}
.tiles dt{font-size:.85rem}
.tiles dd{margin:0;font-size:1.35rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
small{display:block;font-size:.78rem;font-weight:400;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;margin:0 0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
.caption{font-size:.85rem;margin:1rem 0 .4rem;max-width:none}
th,td{padding:.35rem .75rem;border-bottom:1px solid var(--grid);text-align:left;vertical-align:top}
thead th{border-bottom:1.5px solid var(--faint);font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}
td.n,th.n{text-align:right;white-space:nowrap}
thead th.n{white-space:normal}
td:not(.n){min-width:7.5rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1.5rem 2rem;align-items:start;margin:1rem 0}
figure{margin:0;min-width:0;max-width:44rem;break-inside:avoid}
figure svg{display:block;width:100%;height:auto}
figcaption{font-size:.85rem;padding:.25rem .6rem 0;max-width:70ch}
.facts{display:grid;grid-template-columns:minmax(7rem,max-content) minmax(0,1fr);gap:.2rem 1rem;margin:1rem 0}
.facts dd{margin:0;overflow-wrap:anywhere}
@media(max-width:480px){.facts{grid-template-columns:minmax(0,1fr)}.facts dd{margin-bottom:.4rem}th,td{padding:.3rem .45rem}}
@media print{main{max-width:none;padding:0}.wide{overflow:visible}table{font-size:.7rem}th,td{padding:.2rem .4rem}.figures{grid-template-columns:1fr 1fr}h2{break-after:avoid}tr{break-inside:avoid}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_put_in_is_text() {
        let hostile = "</td><script>alert('\"&')</script>\u{0}\u{1b}[31m";
        let mut page = Page::new(hostile);
        page.opening(hostile, hostile, hostile);
        page.heading(hostile);
        page.paragraph(hostile);
        page.tiles(&[(hostile.into(), Cell { text: hostile.into(), small: hostile.into() })]);
        page.facts([(hostile, hostile.to_owned())]);
        page.list([hostile]);
        page.table(hostile, &[(hostile, Column::Figures)], &[vec![Cell::text(hostile)]]);
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("</td><"), "{html}");
        let told = "&lt;/td&gt;&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;";
        assert_eq!(html.matches(told).count(), 16, "{html}");
        assert!(!html.contains(['\u{0}', '\u{1b}']));
    }

    #[test]
    fn a_page_loads_nothing_and_runs_nothing() {
        let html = Page::new("study").html();
        for loading in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!html.contains(loading), "{loading}: {html}");
        }
    }
}
