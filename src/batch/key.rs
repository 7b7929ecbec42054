//! What a point is: the key by which its samples are found again, whatever the file calls it.
//!
//! It covers all that can change a point's result or its time: the resolved options, but for those that
//! only say what is kept and when to give up; the program, as kernels are built in; and what an input file
//! holds. A name, a comment or an order of keys is in none of these.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::{InputSpec, Stamp, reason, shown_path};
use crate::error::Error;

/// Options that change neither the result of a run that succeeds nor its time.
const APART: [&str; 9] = [
    "timeout",
    "chunk-timeout",
    "retries",
    "strict",
    "on-error",
    "trace",
    "counters",
    "checkpoint",
    "repeats",
];

/// Names a point by what decides its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Returns the key of what these options, [`deciding`] ones, come to with this program and this input.
    pub(crate) fn of(
        options: &Map<String, Value>,
        program: &str,
        input: Option<&str>,
    ) -> Result<Self, Error> {
        let mut hashed = options.clone();
        if input.is_some()
            && let Some(path) = hashed.get_mut("input")
        {
            // A file is what it holds; its name says how to read that.
            *path = format(path);
        }
        let mut text = Vec::with_capacity(512);
        canonical(&Value::Object(hashed), &mut text).map_err(|error| {
            Error::refused(format!("the options of a point cannot be written: {error}"))
        })?;
        let mut hash = blake3::Hasher::new();
        hash.update(&text);
        for part in [program, input.unwrap_or_default()] {
            hash.update(b"\n").update(part.as_bytes());
        }
        Ok(Self(*hash.finalize().as_bytes()))
    }

    /// Returns the twelve digits it is shown with, as a number: what samples are looked up by.
    pub(crate) fn short(&self) -> Short {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().skip(2).zip(self.0) {
            *to = from;
        }
        Short(u64::from_be_bytes(bytes))
    }

    fn hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for Key {
    /// Writes the first twelve digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.short().fmt(f)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.hex()
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let hash = blake3::Hash::from_hex(&text).map_err(|_| "a key is 64 hexadecimal digits")?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// The first twelve digits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Short(u64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl FromStr for Short {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or("a key in a sample is 12 hexadecimal digits")
    }
}

/// Returns those of a plan's resolved options that can change its result or its time.
pub(crate) fn deciding(mut resolved: Map<String, Value>) -> Map<String, Value> {
    resolved.retain(|name, _| !APART.contains(&name.as_str()));
    if let Some(output) = resolved.get_mut("output") {
        // Where it goes decides nothing; in which form decides where ranks write.
        *output = format(output);
    }
    resolved
}

/// The ending of a file's name; what has none stays as it is.
fn format(path: &Value) -> Value {
    let Value::String(text) = path else { return path.clone() };
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    ending.map_or_else(|| path.clone(), |ending| ending.to_ascii_lowercase().into())
}

/// Writes JSON in the one way that equal values have: keys sorted, no spaces.
fn canonical(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            let mut before = b'{';
            for (name, value) in &entries {
                out.push(before);
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                canonical(value, out)?;
                before = b',';
            }
            out.extend_from_slice(if entries.is_empty() { b"{}" } else { b"}" });
            Ok(())
        }
        Value::Array(list) => {
            let mut before = b'[';
            for value in list {
                out.push(before);
                canonical(value, out)?;
                before = b',';
            }
            out.extend_from_slice(if list.is_empty() { b"[]" } else { b"]" });
            Ok(())
        }
        plain => serde_json::to_writer(out, plain),
    }
}

/// What input files hold, each read once a visit.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    read: HashMap<Stamp, String>,
}

impl Inputs {
    /// Returns the digest of what an input file holds; `None` where the input is none.
    pub(crate) fn digest(&mut self, input: Option<&InputSpec>) -> Result<Option<String>, Error> {
        let path = match input {
            Some(
                InputSpec::Npy(path)
                | InputSpec::Csv(path)
                | InputSpec::Txt(path)
                | InputSpec::Bin(path),
            ) => path,
            None | Some(InputSpec::Literals(_) | InputSpec::Range { .. } | InputSpec::Stdin) => {
                return Ok(None);
            }
        };
        self.of_file(path).map_err(|error| {
            let (shown, why) = (shown_path(path), reason(&error));
            Error::rejected(format!("cannot read input `{shown}`: {why}"))
        })
    }

    fn of_file(&mut self, path: &Path) -> io::Result<Option<String>> {
        // A FIFO would be waited for, and has no content that could be found again.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let stamp = Stamp::of(&file)?;
        if let Some(digest) = self.read.get(&stamp) {
            return Ok(Some(digest.clone()));
        }
        let digest = content(file)?;
        self.read.insert(stamp, digest.clone());
        Ok(Some(digest))
    }
}

fn content(file: File) -> io::Result<String> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(file)?;
    Ok(format!("blake3:{}", hash.finalize().to_hex()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::data::testing::Folder;

    fn options(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn key(value: Value) -> Key {
        Key::of(&deciding(options(value)), "program", None).unwrap()
    }

    #[test]
    fn a_key_is_of_what_is_said_and_not_of_how() {
        let one = key(json!({"size": 10, "param": {"a": 1, "b": [1, {}]}, "kernel": "square"}));
        let other = key(json!({"kernel": "square", "param": {"b": [1, {}], "a": 1}, "size": 10}));
        assert_eq!(one, other);
        for changed in [
            json!({"size": 11, "param": {"a": 1, "b": [1, {}]}, "kernel": "square"}),
            json!({"size": "10", "param": {"a": 1, "b": [1, {}]}, "kernel": "square"}),
            json!({"size": 10, "param": {"a": 1, "b": [1]}, "kernel": "square"}),
        ] {
            assert_ne!(one, key(changed));
        }
    }

    #[test]
    fn what_is_kept_and_when_to_give_up_are_not_in_a_key() {
        let bare = key(json!({"size": 10, "output": "a/b.npy"}));
        let same = json!({
            "size": 10, "output": "c.NPY", "timeout": "5s", "chunk-timeout": "1s", "retries": 7,
            "strict": true, "on-error": "keep", "trace": "t.json", "checkpoint": "c", "repeats": 3,
            "counters": true,
        });
        assert_eq!(bare, key(same));
        assert_ne!(bare, key(json!({"size": 10, "output": "a/b.csv"})));
        assert_ne!(bare, key(json!({"size": 10})));
    }

    #[test]
    fn a_file_is_what_it_holds_and_how_that_is_read() {
        let of = |path: &str, input: &str| {
            Key::of(&options(json!({ "input": path })), "program", Some(input)).unwrap()
        };
        assert_eq!(of("a/x.npy", "1"), of("b/y.npy", "1"));
        assert_ne!(of("a/x.npy", "1"), of("a/x.npy", "2"));
        assert_ne!(of("a/x.npy", "1"), of("a/x.bin", "1"));
    }

    #[test]
    fn a_program_built_anew_has_other_keys() {
        let of = |program| Key::of(&Map::new(), program, None).unwrap();
        assert_ne!(of("one"), of("two"));
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = key(json!({"size": 10}));
        let text = String::from(key);
        assert_eq!((text.len(), &text[..12]), (64, &*key.to_string()));
        assert_eq!(Key::try_from(text), Ok(key));
        assert_eq!(key.to_string().parse(), Ok(key.short()));
        for wrong in ["", "0", "0123456789a", "0123456789abc", "0123456789ag", "+123456789ab"] {
            assert!(wrong.parse::<Short>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_input_is_read_again_once_it_changed() {
        let folder = Folder::new();
        let path = folder.path("x.bin");
        let spec = InputSpec::Bin(path.clone());
        let mut inputs = Inputs::default();
        let mut digest = |text: &str| {
            fs::write(&path, text).unwrap();
            inputs.digest(Some(&spec)).unwrap()
        };
        let one = digest("1");
        assert!(one.is_some());
        assert_ne!(one, digest("22"));
        assert_eq!(one, digest("1"));
        assert_eq!(Inputs::default().digest(Some(&InputSpec::Stdin)).unwrap(), None);
        let error =
            Inputs::default().digest(Some(&InputSpec::Npy("/no/x.npy".into()))).unwrap_err();
        assert_eq!(error.to_string(), "cannot read input `/no/x.npy`: no such file or directory");
    }
}
