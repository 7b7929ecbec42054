//! `.npy` files, written and read here and not by the crate.

use crate::values::Type;

/// Writes a version 1.0 file with this dictionary, padded as NumPy pads.
pub(crate) fn raw(dictionary: &str, payload: &[u8]) -> Vec<u8> {
    let mut header = dictionary.to_owned();
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(payload);
    file
}

pub(crate) fn dictionary(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

pub(crate) fn tuple(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        all => {
            let dims: Vec<String> = all.iter().map(usize::to_string).collect();
            format!("({})", dims.join(", "))
        }
    }
}

pub(crate) fn little(kind: Type, shape: &[usize], elements: &[u64]) -> Vec<u8> {
    raw(&dictionary(&format!("<{}", kind.code()), &tuple(shape)), &kind.bytes(elements))
}

pub(crate) fn big(kind: Type, shape: &[usize], elements: &[u64]) -> Vec<u8> {
    raw(&dictionary(&format!(">{}", kind.code()), &tuple(shape)), &kind.bytes_big(elements))
}

/// Checks a file written by the program, byte by byte, and returns its payload.
#[track_caller]
pub(crate) fn payload<'a>(file: &'a [u8], kind: Type, shape: &[usize]) -> &'a [u8] {
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00", "magic and version");
    let len = usize::from(u16::from_le_bytes([file[8], file[9]]));
    assert_eq!((10 + len) % 64, 0, "the payload is aligned");
    let header = std::str::from_utf8(&file[10..10 + len]).unwrap();
    let expected = dictionary(&format!("<{}", kind.code()), &tuple(shape));
    assert_eq!(header.trim_end(), expected);
    assert!(header.ends_with('\n'));
    &file[10 + len..]
}
