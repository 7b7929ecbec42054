//! Values whose form in a file is the text of their flag.

/// Lets a type be written in files as the text it is typed as: for serde's `try_from` and `into`.
macro_rules! text_in_files {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = $crate::Error;

            fn try_from(text: String) -> Result<Self, $crate::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

pub(crate) use text_in_files;
