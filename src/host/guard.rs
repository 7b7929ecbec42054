//! A process group that does not outlive this process, however it ends.
//!
//! A parent-death signal reaches one process: of a shell that is killed by it, the commands live on. So
//! the group has a leader that does nothing but wait for the end of a pipe whose other end only this process
//! holds. The kernel closes it with SIGKILL, too, and the leader then kills its group. Before the first
//! command starts the leader is there, so there is no moment at which one could be left behind.
//!
//! What leaves the group (`setsid`) leaves its guard.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Only what is built into every shell, so that nothing is started at the end. The signals that end a group in
/// order are for its other members.
const LEADER: &str = "trap '' HUP INT TERM; read -r line; kill -s KILL 0";

/// The leader of a group. Dropped, it goes; what is left in the group then is nobody's concern.
#[derive(Debug)]
pub(crate) struct Guard {
    leader: Child,
}

impl Guard {
    /// Begins a group.
    pub(crate) fn start() -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", LEADER]).process_group(0).current_dir("/").env_clear();
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { leader: shell.spawn()? })
    }

    /// Returns the number of the group: nobody else's, as long as this is there.
    pub(crate) fn group(&self) -> i32 {
        self.leader.id().cast_signed()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Before its pipe is closed, which would be the end of the group.
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}
