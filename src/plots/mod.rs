//! Pictures of figures: a description in, the text of an SVG out.
//!
//! ```text
//! chart    points with intervals, and lines, on linear or logarithmic axes; a roofline is one, too
//! stack    parts of a whole, a bar for each whole
//! gantt    what each rank did when
//! axis     where a value lies, and which values are written beside it
//! legend   what each mark means
//! canvas   shapes and texts, and the picture they make
//! palette  colours, on light and on dark
//! ```
//!
//! **Nothing is measured here and nothing kept**: the same description is the same bytes, whatever the machine.
//! Coordinates are rounded to a hundredth of a pixel, and attributes have an order.
//!
//! **Colours** are those of Okabe and Ito, which people with any colour vision tell apart; where one series
//! is not another, its marker or its dashes or its hatching differ, too, for print. A shape has its colour for
//! light paper as an attribute, which every program that shows SVG understands, and a class beside it, by which a
//! style sheet gives it the one for dark: in a file of its own by a media query, in a page by custom properties
//! that the page has, too ([`style_of_pages`]).
//!
//! **Text is text**: it can be searched, copied and read aloud; no font is named but the reader's own. So nothing
//! knows how wide it will be, and places are left for a rather wide one.
//!
//! **Why `svg` writes it**, and not a library of charts: plotters (0.3.7) has whole pixels for coordinates, so that
//! curves are jagged where an SVG could be exact, and writes colours as attributes only: no class by which a page
//! could change them, no title and description for those who cannot see, and dashes only as many short lines. What
//! it would spare are axes and a legend. `svg` (0.18, MIT or Apache 2.0) needs no other package, sorts attributes,
//! and escapes text and attributes; that is all that is wanted of it.

mod axis;
mod canvas;
mod chart;
mod gantt;
mod legend;
mod palette;
mod stack;

pub(crate) use self::axis::{Axis, From, Scale, Ticks, Unit};
pub(crate) use self::canvas::Picture;
pub(crate) use self::chart::{Chart, Dash, Datum, Line, Marker, Points};
pub(crate) use self::gantt::{Activity, Gantt, Row, Span};
pub(crate) use self::palette::{Fill, Ink, style_of_pages};
pub(crate) use self::stack::{Bar, Part, Stack};
