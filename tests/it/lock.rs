//! The counter's lock, when its holder dies.

use crate::sandbox::{Sandbox, example};

/// Every second chunk is rank 0's, number 56 the 29th of them; it dies at its 30th claim.
const DIES: &str = "kill:rank=0,point=lock.held,nth=29";

#[test]
fn a_lock_that_the_kernel_did_not_mark_holds_nobody_up() {
    let sandbox = Sandbox::new();
    for how in ["not", "unmarked"] {
        let arguments = format!(
            "-n 2 -k faulty --param how={how} --size 1000 --schedule static,10 --inject {DIES} --output -"
        );
        let job = sandbox.program(example("faulty")).words(&arguments).env("FAULTY_AT", "567");
        // If nobody broke the lock, it would be waited for until the deadline of every test.
        let done = job.run().ok().says("rank 0 (pid ").says("was killed by SIGKILL");
        assert!(!done.stderr.contains("never struck"), "{}", done.told());
        assert_eq!(done.text(), (1..=1000).map(|y| format!("{y}\n")).collect::<String>());
    }
}
