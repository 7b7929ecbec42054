//! The limits that every process inherits from its shell: `ulimit`.

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Open files.
    Files,
    /// Processes and threads of one user.
    Processes,
    /// Bytes of address space.
    Space,
    /// Bytes that may be locked in memory.
    Locked,
    /// Bytes of a core dump.
    Core,
}

impl Resource {
    pub(crate) const ALL: [Self; 5] =
        [Self::Processes, Self::Files, Self::Space, Self::Locked, Self::Core];

    /// Returns how a shell sets it, so that it can be raised again.
    pub(crate) fn ulimit(self) -> &'static str {
        match self {
            Self::Files => "ulimit -S -n",
            Self::Processes => "ulimit -S -u",
            Self::Space => "ulimit -S -v",
            Self::Locked => "ulimit -S -l",
            Self::Core => "ulimit -S -c",
        }
    }
}

/// What a process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Unlimited,
    AtMost(u64),
}

/// Returns the limit that counts now, and the one up to which it may be raised.
#[expect(unsafe_code, reason = "getrlimit")]
pub(crate) fn both(resource: Resource) -> Option<(Bound, Bound)> {
    let which = match resource {
        Resource::Files => libc::RLIMIT_NOFILE,
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::Space => libc::RLIMIT_AS,
        Resource::Locked => libc::RLIMIT_MEMLOCK,
        Resource::Core => libc::RLIMIT_CORE,
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writable memory of its type.
    let done = unsafe { libc::getrlimit(which, &raw mut limit) };
    let bound = |value| match value {
        libc::RLIM_INFINITY => Bound::Unlimited,
        value => Bound::AtMost(value),
    };
    (done == 0).then(|| (bound(limit.rlim_cur), bound(limit.rlim_max)))
}

/// Returns the limit that counts now; unlimited is more than anything.
pub(crate) fn soft(resource: Resource) -> Option<u64> {
    both(resource).map(|(soft, _)| match soft {
        Bound::Unlimited => u64::MAX,
        Bound::AtMost(value) => value,
    })
}
