//! The last words of a rank that dies of a memory fault: which signal, about which address.
//!
//! The handler stores them into the rank's slot of the segment, where the launcher finds them, and lets
//! the signal do what it would have done. It replaces the handlers of Rust's runtime, which report a
//! stack overflow to stderr and know nothing of chunks.
#![expect(unsafe_code, reason = "a signal handler")]

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::AtomicPtr;

use crate::shm::{Acquire, Crash, RankSlot, Release};

/// What a kernel can do to itself. After these, memory may be damaged.
const FAULTS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

static SLOT: AtomicPtr<RankSlot> = AtomicPtr::new(ptr::null_mut());

/// A stack of its own: the fault may be that there is no room on the other.
#[repr(C, align(64))]
struct Stack(UnsafeCell<[u8; 32 * 1024]>);

// SAFETY: only the kernel, and the handler it starts there, touch it.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; 32 * 1024]));

/// While this lives, a memory fault of this process is written into the rank's slot.
pub(super) struct LastWords<'a>(PhantomData<&'a RankSlot>);

impl<'a> LastWords<'a> {
    pub(super) fn go_to(slot: &'a RankSlot) -> Self {
        write_into(slot);
        Self(PhantomData)
    }
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        // What the slot lies in is about to be unmapped. A fault from now on dies without words.
        SLOT.store(ptr::null_mut(), Release); // Pairs with Acquire in `note`.
    }
}

/// Lets memory faults of this process be written into `slot`, while that is what `SLOT` names.
fn write_into(slot: &RankSlot) {
    SLOT.store(ptr::from_ref(slot).cast_mut(), Release); // Pairs with Acquire in `note`.
    let stack =
        libc::stack_t { ss_sp: STACK.0.get().cast(), ss_flags: 0, ss_size: size_of::<Stack>() };
    // SAFETY: the stack is static, and nothing else uses it.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroed: no flags, an empty mask, the default disposition.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = note as *const () as libc::sighandler_t;
    // Its own default again once it runs: what comes next is fatal, whatever it is.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
    for signal in FAULTS {
        // SAFETY: the handler only stores to atomics and raises a signal, both allowed there.
        unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
    }
}

extern "C" fn note(signal: i32, info: *const libc::siginfo_t, context: *const libc::c_void) {
    // Acquire, pairs with Release in `write_into`.
    // SAFETY: null, or a slot that is mapped: `LastWords` borrows it.
    if let Some(slot) = unsafe { SLOT.load(Acquire).as_ref() } {
        // SAFETY: the kernel passes a valid siginfo to an SA_SIGINFO handler.
        let info = unsafe { &*info };
        // SAFETY: for a fault the kernel filled in the address; else the bytes are of another meaning,
        // and `code` says so.
        let address = unsafe { info.si_addr() } as u64;
        // SAFETY: the kernel passes the interrupted context.
        let stack = unsafe { stack_pointer(context) };
        slot.crashed(Crash { signal, code: info.si_code, address, stack });
    }
    // Blocked while this handler runs, so delivered when it returns: a fault would come again by itself,
    // but not a signal that somebody sent.
    // SAFETY: async-signal-safe.
    unsafe { libc::raise(signal) };
}

#[cfg(target_arch = "x86_64")]
unsafe fn stack_pointer(context: *const libc::c_void) -> u64 {
    // SAFETY: the caller's promise.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.gregs[libc::REG_RSP as usize].cast_unsigned()
}

#[cfg(target_arch = "aarch64")]
unsafe fn stack_pointer(context: *const libc::c_void) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { &*context.cast::<libc::ucontext_t>() }.uc_mcontext.sp
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn stack_pointer(_: *const libc::c_void) -> u64 {
    0
}
