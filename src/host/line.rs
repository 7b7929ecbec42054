//! A line between a launcher and a rank that lives on between trials: an order goes one way, with the
//! descriptors of its trial, and an answer comes back.
//!
//! Packets and not bytes, so that neither side ever reads half of one; and a socket and not a pipe,
//! because only that carries descriptors. Whoever ends, however, closes its side: the other one sees the
//! end of the line after the last packet, never instead of it.
#![expect(unsafe_code, reason = "socket system calls")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many descriptors an order carries at most.
const MOST: usize = 3;
/// The first byte of an order has this bit.
const ORDER: u8 = 1 << 7;
/// And this, if it carries an input of its own.
const INPUT: u8 = 1 << 0;
/// And this, if it carries a file of results.
const RESULT: u8 = 1 << 1;
/// And this, if it carries a segment.
const SEGMENT: u8 = 1 << 2;
/// And this, if the segment is known by the number that follows, now or from now on.
const NUMBERED: u8 = 1 << 3;

/// What an order says beside its descriptors: its bits, and the number of the segment.
type Words = [u8; 1 + size_of::<u64>()];
/// The kernel counts descriptors that are on their way, for all of a user's sockets together. So long
/// ranks may take to fetch theirs.
const CROWDED_FOR: Duration = Duration::from_secs(2);

/// Room for a control message with the descriptors of an order, aligned as its header must be.
type Carriage = [u64; 8];
// SAFETY: arithmetic alone.
const _: () = assert!(unsafe { libc::CMSG_SPACE(bytes(MOST)) } as usize <= size_of::<Carriage>());

/// The bytes of so many descriptors in a control message.
const fn bytes(descriptors: usize) -> u32 {
    (descriptors * size_of::<i32>()) as u32
}

/// What a rank is to take part in: the files of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<Fd> {
    pub(crate) segment: SegmentAt<Fd>,
    /// The file with the inputs, if there is one.
    pub(crate) input: Option<Fd>,
    /// The file for the results, if there is one.
    pub(crate) result: Option<Fd>,
}

/// Where a rank finds its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SegmentAt<Fd> {
    /// In this file, in this world alone.
    Once(Fd),
    /// In this file, which orders that follow may call by its number.
    New(Fd, u64),
    /// In the file that came with this number.
    Known(u64),
}

impl<Fd> SegmentAt<Fd> {
    /// Returns the file, if it is one that is on its way.
    pub(crate) fn file(&self) -> Option<&Fd> {
        match self {
            Self::Once(file) | Self::New(file, _) => Some(file),
            Self::Known(_) => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Once(_) => None,
            Self::New(_, number) | Self::Known(number) => Some(*number),
        }
    }
}

/// One end of a line.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
}

/// What has come through a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing yet.
    Nothing,
    /// This answer.
    Answer(u8),
    /// The other side is gone, or has said what nobody says.
    End,
}

impl Line {
    /// Makes a line; the second end is the rank's.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let mut ends = [0; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: `ends` has room for two descriptors.
        let made = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
        if made != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just returned to us alone.
        let [ours, theirs] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        Ok((Self { socket: ours }, Self { socket: theirs }))
    }

    /// Returns the end of a line that this descriptor is.
    pub(crate) fn from_inherited(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Sends an order. An error says that the other side is gone, or that the machine refuses.
    pub(crate) fn order(&self, order: &Order<BorrowedFd<'_>>) -> io::Result<()> {
        let begun = Instant::now();
        let Order { segment, input, result } = order;
        let files = [segment.file(), input.as_ref(), result.as_ref()];
        let numbers: Vec<i32> = files.into_iter().flatten().map(AsRawFd::as_raw_fd).collect();
        let bits = [SEGMENT, INPUT, RESULT].into_iter().zip(files);
        let bits = bits.filter(|(_, file)| file.is_some()).fold(ORDER, |all, (bit, _)| all | bit);
        let words = match segment.number() {
            Some(number) => words(bits | NUMBERED, number),
            None => words(bits, 0),
        };
        loop {
            match self.send_order(words, &numbers) {
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error)
                    if error.raw_os_error() == Some(libc::ETOOMANYREFS)
                        && begun.elapsed() < CROWDED_FOR =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }

    fn send_order(&self, mut words: Words, numbers: &[i32]) -> io::Result<()> {
        let mut carriage: Carriage = [0; 8];
        let mut content = content(&mut words);
        let mut packet = packet(&mut content, &mut carriage);
        // SAFETY: the packet's control buffer is `carriage`, which has room for a header and more.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const packet) };
        // SAFETY: arithmetic alone.
        let length = unsafe { libc::CMSG_LEN(bytes(numbers.len())) } as usize;
        // SAFETY: points into `carriage`, zeroed and aligned for a header.
        let head = unsafe { &mut *header };
        head.cmsg_level = libc::SOL_SOCKET;
        head.cmsg_type = libc::SCM_RIGHTS;
        head.cmsg_len = length as _;
        // SAFETY: as above; its data follows it in `carriage`.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: there is room for as many as there can be, as asserted above; they may lie unaligned.
        unsafe {
            std::ptr::copy_nonoverlapping(numbers.as_ptr().cast(), data, size_of_val(numbers))
        };
        packet.msg_controllen = if numbers.is_empty() { 0 } else { length as _ };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: the packet and all it points to live to the end of the call.
        let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const packet, flags) };
        if sent == size_of::<Words>() as isize { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for an order; `None` at the end of the line.
    pub(crate) fn next_order(&self) -> io::Result<Option<Order<OwnedFd>>> {
        let mut carriage: Carriage = [0; 8];
        let mut words = Words::default();
        let mut content = content(&mut words);
        let mut packet = packet(&mut content, &mut carriage);
        let received = loop {
            let flags = libc::MSG_CMSG_CLOEXEC;
            // SAFETY: the packet and all it points to are writable and live to the end of the call.
            let received =
                unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut packet, flags) };
            if received >= 0 {
                break received;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::ECONNRESET) => return Ok(None),
                _ => return Err(error),
            }
        };
        if received == 0 {
            return Ok(None);
        }
        let mut carried = carried(&packet).into_iter();
        let whole = packet.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0
            && usize::try_from(received).is_ok_and(|received| received == size_of::<Words>());
        let [bits, number @ ..] = words;
        let mut next = |bit: u8| (bits & bit != 0).then(|| carried.next()).flatten();
        let [segment, input, result] = [SEGMENT, INPUT, RESULT].map(&mut next);
        let came = [(SEGMENT, &segment), (INPUT, &input), (RESULT, &result)];
        let came = came.into_iter().filter(|(_, file)| file.is_some());
        let told = came.fold(ORDER, |all, (bit, _)| all | bit);
        let segment = match (segment, bits ^ told) {
            (Some(file), 0) => Some(SegmentAt::Once(file)),
            (Some(file), NUMBERED) => Some(SegmentAt::New(file, u64::from_le_bytes(number))),
            (None, NUMBERED) => Some(SegmentAt::Known(u64::from_le_bytes(number))),
            _ => None,
        };
        match segment {
            Some(segment) if whole && carried.len() == 0 => {
                Ok(Some(Order { segment, input, result }))
            }
            _ => Err(io::Error::other("what came through the line is no order")),
        }
    }

    /// Says how a trial has ended.
    pub(crate) fn answer(&self, answer: u8) -> io::Result<()> {
        loop {
            // SAFETY: one readable byte.
            let sent = unsafe {
                libc::send(
                    self.socket.as_raw_fd(),
                    (&raw const answer).cast(),
                    1,
                    libc::MSG_NOSIGNAL,
                )
            };
            if sent == 1 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EINTR) {
                return Err(error);
            }
        }
    }

    /// Returns what has come, without waiting for it.
    pub(crate) fn heard(&self) -> Heard {
        let mut answer = 0_u8;
        // SAFETY: one writable byte. Descriptors that a packet may carry are dropped by the kernel.
        let received = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                (&raw mut answer).cast(),
                1,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            )
        };
        match received {
            1 => Heard::Answer(answer),
            0.. => Heard::End,
            _ => match io::Error::last_os_error().raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => Heard::Nothing,
                _ => Heard::End,
            },
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn words(bits: u8, number: u64) -> Words {
    let mut words = Words::default();
    words[0] = bits;
    words[1..].copy_from_slice(&number.to_le_bytes());
    words
}

fn content(words: &mut Words) -> libc::iovec {
    libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of::<Words>() }
}

/// A packet of this content, with this room for what it carries.
fn packet(content: &mut libc::iovec, carriage: &mut Carriage) -> libc::msghdr {
    // SAFETY: a message header of zeroes has no name, no content and no control message.
    let mut packet: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    packet.msg_iov = content;
    packet.msg_iovlen = 1;
    packet.msg_control = carriage.as_mut_ptr().cast();
    packet.msg_controllen = mem::size_of_val(carriage) as _;
    packet
}

/// Takes over the descriptors that came with a packet.
#[allow(clippy::unnecessary_cast, reason = "with other C libraries a length is 32 bits")]
fn carried(packet: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the kernel has filled in the packet, whose control buffer still lives.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(packet) };
    // SAFETY: null, or a header in that buffer.
    while let Some(head) = unsafe { header.as_ref() } {
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: arithmetic alone.
            let bytes =
                (head.cmsg_len as usize).saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            // SAFETY: as above.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<i32>();
            for place in 0..bytes / size_of::<i32>() {
                // SAFETY: the kernel wrote that many numbers there, perhaps unaligned.
                let number = unsafe { data.wrapping_add(place).read_unaligned() };
                // SAFETY: the kernel has just installed it for us alone.
                found.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: a header in the packet's control buffer.
        header = unsafe { libc::CMSG_NXTHDR(packet, header) };
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn an_order_carries_its_descriptors_and_an_answer_comes_back() {
        let (launcher, rank) = Line::pair().unwrap();
        assert_eq!(launcher.heard(), Heard::Nothing);
        let (reader, writer) = io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let (segment, result) = (SegmentAt::Once(null.as_fd()), Some(writer.as_fd()));
        launcher.order(&Order { segment, input: None, result }).unwrap();
        drop(writer);
        let Order { segment, input, result } = rank.next_order().unwrap().unwrap();
        assert!(matches!(segment, SegmentAt::Once(_)));
        assert!(input.is_none());
        io::Write::write_all(&mut File::from(result.unwrap()), b"through").unwrap();
        let mut text = String::new();
        File::from(OwnedFd::from(reader)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through", "and nobody else holds the pipe's end");
        rank.answer(7).unwrap();
        assert_eq!(launcher.heard(), Heard::Answer(7));
        assert_eq!(launcher.heard(), Heard::Nothing);
    }

    #[test]
    fn the_last_answer_comes_before_the_end_of_the_line() {
        let (launcher, rank) = Line::pair().unwrap();
        rank.answer(0).unwrap();
        drop(rank);
        assert_eq!(launcher.heard(), Heard::Answer(0));
        assert_eq!(launcher.heard(), Heard::End);
        let null = File::open("/dev/null").unwrap();
        let segment = SegmentAt::Once(null.as_fd());
        let order = Order { segment, input: None, result: None };
        assert!(launcher.order(&order).is_err(), "nobody is there to follow it");
    }

    #[test]
    fn a_rank_hears_that_its_launcher_is_gone() {
        let (launcher, rank) = Line::pair().unwrap();
        drop(launcher);
        assert!(rank.next_order().unwrap().is_none());
    }

    #[test]
    fn what_is_no_order_is_an_error() {
        let (launcher, rank) = Line::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        let null = null.as_raw_fd();
        let whole = ORDER | SEGMENT;
        for (bits, carried) in [
            (whole, 0),
            (ORDER, 0),
            (SEGMENT, 1),
            (NUMBERED, 0),
            (ORDER | NUMBERED, 1),
            (whole, 2),
            (whole | INPUT, 1),
            (whole | INPUT | RESULT, 2),
            (whole | 1 << 4, 1),
        ] {
            launcher.send_order(words(bits, 5), &[null; MOST][..carried]).unwrap();
            assert!(rank.next_order().is_err(), "{bits:#x} with {carried} descriptors");
        }
        launcher.answer(ORDER | NUMBERED).unwrap();
        assert!(rank.next_order().is_err(), "it ends before its number");
        launcher.send_order(words(whole | RESULT, 0), &[null; 2]).unwrap();
        assert!(rank.next_order().unwrap().is_some(), "and what comes then is whole again");
    }

    #[test]
    fn a_segment_is_sent_once_and_called_by_its_number_then() {
        let (launcher, rank) = Line::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        for segment in [SegmentAt::New(null.as_fd(), u64::MAX - 1), SegmentAt::Known(u64::MAX - 1)]
        {
            launcher.order(&Order { segment, input: None, result: None }).unwrap();
        }
        let next = || rank.next_order().unwrap().unwrap().segment;
        assert!(matches!(next(), SegmentAt::New(_, number) if number == u64::MAX - 1));
        assert!(matches!(next(), SegmentAt::Known(number) if number == u64::MAX - 1));
    }
}
