//! Headers as numpy writes them, and as it does not.

use proptest::prelude::*;

use super::*;

fn file(version: u8, text: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    let len = u32::try_from(text.len()).unwrap().to_le_bytes();
    bytes.extend(if version == 1 { &len[..2] } else { &len[..] });
    bytes.extend(text.as_bytes());
    bytes
}

/// Parses a file with this header and a payload of so many bytes.
fn parse_text(version: u8, text: &str, payload: u64) -> Result<NpyHeader, String> {
    let bytes = file(version, text);
    parse(&bytes, bytes.len() as u64 + payload)
}

const GOOD: &str = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n";

#[test]
fn reads_every_version() {
    for version in 1..=3 {
        let found = parse_text(version, GOOD, 48).unwrap();
        assert_eq!(found.dtype, DType::F64);
        assert_eq!(found.order, ByteOrder::LITTLE);
        assert_eq!(found.shape.dims(), [2, 3]);
        assert_eq!(found.offset, GOOD.len() as u64 + if version == 1 { 10 } else { 12 });
    }
}

#[test]
fn reads_every_element_type_in_both_orders() {
    for (name, dtype) in [
        ("i4", DType::I32),
        ("i8", DType::I64),
        ("u4", DType::U32),
        ("u8", DType::U64),
        ("f4", DType::F32),
        ("f8", DType::F64),
    ] {
        for (mark, order) in
            [("<", ByteOrder::LITTLE), (">", ByteOrder::BIG), ("=", ByteOrder::Native)]
        {
            let text = GOOD.replace("<f8", &format!("{mark}{name}"));
            let found = parse_text(1, &text, 6 * dtype.size() as u64).unwrap();
            assert_eq!((found.dtype, found.order), (dtype, order));
        }
    }
}

#[test]
fn reads_any_spelling_of_the_dictionary_and_of_shapes() {
    for (text, dims) in [
        ("{\"shape\":(3,),\"descr\":\"<f8\",\"fortran_order\":False}\n", vec![3]),
        ("  {'descr':'<f8',\n'fortran_order':False,'shape':()}   \n", vec![]),
        ("{'descr': '<f8', 'fortran_order': True, 'shape': (4,)}\n", vec![4]),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}\n", vec![0]),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2,)}\n", vec![1, 2]),
    ] {
        let payload = 8 * dims.iter().product::<u64>();
        assert_eq!(parse_text(1, text, payload).unwrap().shape.dims(), dims, "{text}");
    }
}

#[test]
fn refuses_bad_prefixes() {
    let long = |version: u8, len: u32| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        bytes.extend(len.to_le_bytes());
        bytes
    };
    for (bytes, message) in [
        (b"".to_vec(), "not a .npy file: it begins with ``, not `\\x93NUMPY`"),
        (b"1,2,3\n".to_vec(), "not a .npy file: it begins with `1,2,3\\n`, not `\\x93NUMPY`"),
        (MAGIC.to_vec(), "the .npy header is cut off: the file has 6 bytes"),
        (b"\x93NUMPY\x01\0\x10".to_vec(), "the .npy header is cut off: the file has 9 bytes"),
        (long(0, 0), "unknown .npy version 0.0; 1.0, 2.0 and 3.0 are supported"),
        (long(255, 0), "unknown .npy version 255.0; 1.0, 2.0 and 3.0 are supported"),
        (b"\x93NUMPY\x01\x07".to_vec(), "unknown .npy version 1.7; 1.0, 2.0 and 3.0 are supported"),
        (
            long(2, u32::MAX),
            "the .npy header claims to be 4294967295 bytes long; the limit is 10000",
        ),
        (long(1, 10_001), "the .npy header claims to be 10001 bytes long; the limit is 10000"),
        (long(3, 0), "the .npy header does not end in a newline"),
    ] {
        assert_eq!(parse(&bytes, bytes.len() as u64).unwrap_err(), message);
    }
}

#[test]
fn refuses_a_header_longer_than_the_file() {
    let mut bytes = file(1, GOOD);
    bytes.truncate(20);
    assert_eq!(
        parse(&bytes, 20).unwrap_err(),
        format!("the .npy header claims to end at byte {}; the file has 20 bytes", 10 + GOOD.len())
    );
}

#[test]
fn refuses_a_payload_that_is_one_byte_off() {
    assert_eq!(
        parse_text(1, GOOD, 47).unwrap_err(),
        "the payload is too short: 47 bytes found, 48 expected for shape (2, 3) of f64"
    );
    assert_eq!(
        parse_text(1, GOOD, 49).unwrap_err(),
        "the payload is too long: 49 bytes found, 48 expected for shape (2, 3) of f64"
    );
}

#[test]
fn refuses_unsupported_dtypes_by_name() {
    for descr in ["|O8", "|V16", "<U5", "<c16", "<i2", "<f2", "f8", "float64", "", "<", "é8"] {
        let message = parse_text(3, &GOOD.replace("<f8", descr), 48).unwrap_err();
        assert!(message.starts_with(&format!("dtype `{descr}` is not supported")), "{message}");
    }
    let text = GOOD.replace("'<f8'", "[('a', '<f8')]");
    assert!(parse_text(1, &text, 48).unwrap_err().starts_with("a structured dtype"));
}

#[test]
fn refuses_odd_dictionaries() {
    let nested = format!("{}\n", "(".repeat(9_999));
    for (text, message) in [
        ("\n", "expected `{` in the .npy header, found its end"),
        (nested.as_str(), "expected `{` in the .npy header, found `(`"),
        ("{}\n", "key `descr` is missing from the .npy header"),
        ("{'descr': '<f8'}\n", "key `fortran_order` is missing from the .npy header"),
        (
            "{'descr': '<f8', 'fortran_order': False}\n",
            "key `shape` is missing from the .npy header",
        ),
        ("{'descr': '<f8', 'descr': '<f8'}\n", "key `descr` appears twice in the .npy header"),
        ("{'x': 1}\n", "unknown key `x` in the .npy header"),
        ("{descr: '<f8'}\n", "expected a key or `}` in the .npy header, found `descr`"),
        ("{'descr' '<f8'}\n", "expected `:` in the .npy header, found the string `<f8`"),
        ("{'descr': '<f8\n", "a string without end in the .npy header"),
        ("{'descr': '<f8\0'}\n", "odd string `<f8\\u{0}` in the .npy header"),
        ("{'descr': '<\\x668'}\n", "odd string `<\\x668` in the .npy header"),
        ("{'descr': 8}\n", "expected the dtype as a string in the .npy header, found `8`"),
        (
            "{'fortran_order': 0}\n",
            "expected `True` or `False` for `fortran_order` in the .npy header, found `0`",
        ),
        ("{'shape': 3}\n", "expected a tuple for `shape` in the .npy header, found `3`"),
        ("{'shape': (3)}\n", "the shape in the .npy header is a number, not a tuple"),
        ("{'shape': (,)}\n", "expected a dimension or `)` in the .npy header, found `,`"),
        ("{'shape': ((1,),)}\n", "expected a dimension or `)` in the .npy header, found `(`"),
        ("{'shape': (True,)}\n", "expected a dimension or `)` in the .npy header, found `True`"),
        ("{'shape': (1L,)}\n", "expected a dimension or `)` in the .npy header, found `1L`"),
        ("{'shape': (1_000,)}\n", "expected a dimension or `)` in the .npy header, found `1_000`"),
        ("{'shape': (1.5,)}\n", "expected a dimension or `)` in the .npy header, found `1.5`"),
        ("{'shape': (-1,)}\n", "dimension `-1` in the .npy header is negative"),
        ("{'shape': (01,)}\n", "dimension `01` in the .npy header begins with a zero"),
        (
            "{'shape': (18446744073709551616,)}\n",
            "dimension `18446744073709551616` in the .npy header is too large",
        ),
        ("{'shape': (1 2)}\n", "expected `,` or `)` in the .npy header, found `2`"),
        ("{'shape': (1,)\n", "expected `,` or `}` in the .npy header, found its end"),
        ("{'shape': +1}\n", "unexpected `+` in the .npy header"),
        ("{'descr': '<é'}\n", "the .npy header has a character that is not ASCII"),
        ("{'descr': '<f8'}", "the .npy header does not end in a newline"),
    ] {
        assert_eq!(parse_text(1, text, 0).unwrap_err(), message);
    }
    let after = GOOD.replace("}", "} x");
    assert_eq!(
        parse_text(1, &after, 48).unwrap_err(),
        "`x` after the end of the dictionary in the .npy header"
    );
}

#[test]
fn refuses_shapes_that_are_too_much() {
    for (shape, message) in [
        ("(9223372036854775808,)", "has a dimension of 9223372036854775808"),
        ("(1048576, 2097152)", "has 2199023255552 elements"),
        ("(1099511627776, 1099511627776)", "has 2^64 elements or more"),
    ] {
        let found = parse_text(1, &GOOD.replace("(2, 3)", shape), 48).unwrap_err();
        assert_eq!(found, format!("shape `{shape}` {message}"));
    }
    let shape = format!("({})", "1,".repeat(33));
    let found = parse_text(1, &GOOD.replace("(2, 3)", &shape), 8).unwrap_err();
    assert_eq!(found, "array has 33 dimensions; at most 32 are supported");
}

#[test]
fn refuses_fortran_order_where_it_matters() {
    let text = GOOD.replace("False", "True");
    assert!(parse_text(1, &text, 48).unwrap_err().starts_with("the array is in Fortran order"));
}

#[test]
fn writes_what_numpy_writes() {
    // From numpy.save of NumPy 2: zeros(5), zeros((2, 3), 'i4') and float64(0).
    for (dtype, dims, text, spaces) in [
        (DType::F64, vec![5], "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }", 60),
        (DType::I32, vec![2, 3], "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", 58),
        (DType::F64, vec![], "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 62),
    ] {
        let expected = file(1, &format!("{text}{}\n", " ".repeat(spaces)));
        let shape = Shape::new(dims).unwrap();
        let found = header(dtype, &shape);
        assert_eq!(found, expected, "{}", found.escape_ascii());
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop::collection::vec(0_u64..9, 0..12).prop_filter_map("at most 2^40", |d| Shape::new(d).ok())
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(
        start in prop::collection::vec(any::<u8>(), 0..400),
        version in 0_u8..5,
        len in any::<u64>(),
    ) {
        let _ = parse(&start, len);
        let text = String::from_utf8_lossy(&start);
        let bytes = file(version, &text);
        let _ = parse(&bytes, bytes.len() as u64);
        let bytes = file(version, &format!("{text}\n"));
        let _ = parse(&bytes, bytes.len() as u64);
    }

    #[test]
    fn never_panics_on_mutated_headers(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = header(DType::F64, &Shape::new([2, 3]).unwrap());
        let i = at.index(bytes.len());
        bytes[i] = byte;
        let _ = parse(&bytes, bytes.len() as u64 + 48);
        bytes.truncate(cut.index(bytes.len()));
        let _ = parse(&bytes, bytes.len() as u64 + 48);
        let _ = parse(&bytes, bytes.len() as u64);
    }

    #[test]
    fn reads_back_what_it_writes(shape in shapes(), which in 0..DType::ALL.len()) {
        let dtype = DType::ALL[which];
        let bytes = header(dtype, &shape);
        prop_assert_eq!(bytes.len() % ALIGN, 0);
        let offset = bytes.len() as u64;
        let len = offset + shape.elements() * dtype.size() as u64;
        let expected = NpyHeader { dtype, order: ByteOrder::LITTLE, shape, offset };
        prop_assert_eq!(parse(&bytes, len), Ok(expected));
    }
}
