//! `.png` files: the only user of the package `png`.
//!
//! Eight bits a channel, three channels, no time or text in it: the same pixels give the same bytes.

use std::io::{self, Write};

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError};

/// Writes a picture of `height` rows of `width` pixels, which follow one another as red, green and blue;
/// an error if there are fewer.
pub(crate) fn write_png(
    out: &mut impl Write,
    width: u32,
    height: u32,
    mut pixels: impl Iterator<Item = [u8; 3]>,
) -> io::Result<()> {
    let mut encoder = Encoder::new(out, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let mut file = encoder.write_header().map_err(plain)?;
    let mut rows = file.stream_writer().map_err(plain)?;
    for _ in 0..height {
        let row: Vec<u8> = pixels.by_ref().take(width as usize).flatten().collect();
        rows.write_all(&row)?;
    }
    rows.finish().map_err(plain)?;
    file.finish().map_err(plain)
}

/// Takes an error of the file itself out of the package's own.
fn plain(error: EncodingError) -> io::Error {
    match error {
        EncodingError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_reads_back_as_it_was_written() {
        let colours: Vec<[u8; 3]> = (0..35_u8).map(|x| [x, 255 - x, x * 7]).collect();
        let mut file = Vec::new();
        write_png(&mut file, 7, 5, colours.iter().copied()).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(&file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (7, 5, ColorType::Rgb));
        assert_eq!(pixels, colours.concat());
    }

    #[test]
    fn a_picture_without_all_its_pixels_is_an_error() {
        assert!(write_png(&mut Vec::new(), 2, 2, [[0; 3]; 3].into_iter()).is_err());
    }
}
