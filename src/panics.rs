//! Panics of kernels, as text.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// What a panic on this thread said, while it is listened for.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes a call; a panic in it becomes its text, and prints nothing.
///
/// The process may be anybody's, so its own hook still gets every other panic. Whatever the call left
/// half done must be of no use to the caller.
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let listening = SAID.try_with(|said| said.borrow().is_some()).unwrap_or(false);
            if !listening {
                return before(panic);
            }
            let text = panic.payload_as_str().unwrap_or("a value that is no text");
            let at = panic.location().map_or(String::new(), |at| format!(" at {at}"));
            SAID.set(Some(format!("{text}{at}")));
        }));
    });
    SAID.set(Some(String::new()));
    let done = catch_unwind(AssertUnwindSafe(call));
    let said = SAID.take().unwrap_or_default();
    done.map_err(|_| said)
}
