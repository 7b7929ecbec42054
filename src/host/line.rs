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

/// How many descriptors an order carries.
const CARRIED: usize = 3;
/// The bytes of these in a control message.
const CARRIED_BYTES: u32 = (CARRIED * size_of::<i32>()) as u32;
/// The one byte of an order: a packet without any could not be told from the end of the line.
const ORDER: u8 = b'o';
/// The kernel counts descriptors that are on their way, for all of a user's sockets together. So long
/// ranks may take to fetch theirs.
const CROWDED_FOR: Duration = Duration::from_secs(2);

/// Room for a control message with the descriptors of an order, aligned as its header must be.
type Carriage = [u64; 8];
// SAFETY: arithmetic alone.
const _: () = assert!(unsafe { libc::CMSG_SPACE(CARRIED_BYTES) } as usize <= size_of::<Carriage>());

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
    pub(crate) fn order(&self, descriptors: [BorrowedFd<'_>; CARRIED]) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match self.send_order(descriptors.map(|fd| fd.as_raw_fd())) {
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

    fn send_order(&self, numbers: [i32; CARRIED]) -> io::Result<()> {
        let mut carriage: Carriage = [0; 8];
        let mut byte = ORDER;
        let mut content = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut packet = packet(&mut content, &mut carriage);
        // SAFETY: the packet's control buffer is `carriage`, which has room for a header and more.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const packet) };
        // SAFETY: arithmetic alone.
        let length = unsafe { libc::CMSG_LEN(CARRIED_BYTES) } as usize;
        // SAFETY: points into `carriage`, zeroed and aligned for a header.
        let head = unsafe { &mut *header };
        head.cmsg_level = libc::SOL_SOCKET;
        head.cmsg_type = libc::SCM_RIGHTS;
        head.cmsg_len = length as _;
        // SAFETY: as above; its data follows it in `carriage`.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: there is room for the numbers, as asserted above; they may lie unaligned.
        unsafe { data.cast::<[i32; CARRIED]>().write_unaligned(numbers) };
        packet.msg_controllen = length as _;
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: the packet and all it points to live to the end of the call.
        let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const packet, flags) };
        if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for an order; `None` at the end of the line.
    pub(crate) fn next_order(&self) -> io::Result<Option<[OwnedFd; CARRIED]>> {
        let mut carriage: Carriage = [0; 8];
        let mut byte = 0;
        let mut content = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
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
        let carried = carried(&packet);
        let whole = packet.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
        match carried {
            Some(descriptors) if whole && byte == ORDER => Ok(Some(descriptors)),
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

/// Takes over the descriptors that came with a packet; `None`, and none is kept, if they are not as many
/// as there should be.
fn carried(packet: &libc::msghdr) -> Option<[OwnedFd; CARRIED]> {
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
    found.try_into().ok()
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
        launcher.order([null.as_fd(), writer.as_fd(), null.as_fd()]).unwrap();
        drop(writer);
        let [_, writer, _] = rank.next_order().unwrap().unwrap();
        io::Write::write_all(&mut File::from(writer), b"through").unwrap();
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
        assert!(launcher.order([null.as_fd(); 3]).is_err(), "nobody is there to follow it");
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
        launcher.answer(ORDER).unwrap();
        assert!(rank.next_order().is_err(), "it carries nothing");
        let null = File::open("/dev/null").unwrap();
        launcher.order([null.as_fd(); 3]).unwrap();
        assert!(rank.next_order().unwrap().is_some(), "and the next one is whole again");
    }
}
