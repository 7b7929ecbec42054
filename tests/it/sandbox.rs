//! A place of its own for every test, and processes that cannot outlive it.
//!
//! Whatever a test starts runs in a session of its own, which its ranks inherit and keep also as
//! zombies; and this process adopts orphans, so that none can hide behind init. So after a run it is
//! known, not guessed, whether anything was left.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub(crate) const SPMD: &str = env!("CARGO_BIN_EXE_spmd");

/// A net for hangs, never a measure: a loaded machine may be slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// A directory that is removed, and checked for leftovers, at the end of its test.
pub(crate) struct Sandbox {
    dir: PathBuf,
    /// What some earlier accident left in `/dev/shm` is not ours to answer for.
    segments_before: Vec<String>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        adopt_orphans();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spmd-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        // Others must be able to enter: some tests give up root.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(&dir, open).unwrap();
        Self { dir, segments_before: segments() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The program under test with these arguments, separated by blanks.
    pub(crate) fn spmd(&self, arguments: &str) -> Job {
        self.program(SPMD).words(arguments)
    }

    pub(crate) fn program(&self, path: impl AsRef<Path>) -> Job {
        let mut command = Command::new(path.as_ref());
        command.current_dir(&self.dir);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPMD_") {
                command.env_remove(name);
            }
        }
        for name in ["CI", "NO_COLOR", "RUST_LOG", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        Job { command, input: Input::Nothing, deadline: DEADLINE, orphans: Orphans::Forbidden }
    }

    /// A shell script, which finds the program under test as `$0`.
    pub(crate) fn shell(&self, script: &str) -> Job {
        self.program("/bin/sh").arg("-c").arg(script).arg(SPMD)
    }

    /// A shell script in a mount namespace of its own; `None`, with a word why, if not permitted.
    pub(crate) fn mounted(&self, script: &str) -> Option<Job> {
        let probe = Command::new("unshare")
            .args(["-m", "sh", "-c", "mount -t tmpfs -o size=64k none /dev/shm"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if probe.is_ok_and(|status| status.success()) {
            let job = self.program("unshare").words("-m sh -c").arg(script).arg(SPMD);
            return Some(job);
        }
        skipped("no mount namespace can be made here");
        None
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let files = hidden_files(&self.dir);
        let _ = fs::remove_dir_all(&self.dir);
        if !thread::panicking() {
            assert!(files.is_empty(), "temporary files were left: {files:?}");
            let segments = lasting_segments(&self.segments_before);
            assert!(segments.is_empty(), "segments were left in /dev/shm: {segments:?}");
        }
    }
}

/// Says on the terminal that something was not tested.
#[expect(clippy::print_stderr, reason = "a test says what it skips")]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

fn hidden_files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.') && name.contains(".spmd.")).collect()
}

fn segments() -> Vec<String> {
    let names = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("spmd-")).collect()
}

/// New names in `/dev/shm` that are not merely between two system calls of a run next door.
fn lasting_segments(before: &[String]) -> Vec<String> {
    let mut left = segments();
    left.retain(|name| !before.contains(name));
    let begun = Instant::now();
    while !left.is_empty() && begun.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(50));
        let now = segments();
        left.retain(|name| now.contains(name));
    }
    left
}

enum Input {
    Nothing,
    Bytes(Vec<u8>),
    Stdio(Stdio),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Orphans {
    /// The launcher ends last: no rank may be there, not even as a zombie.
    Forbidden,
    /// The launcher was killed: ranks may need a moment to follow it.
    FollowSoon,
}

/// A process to be.
pub(crate) struct Job {
    command: Command,
    input: Input,
    deadline: Duration,
    orphans: Orphans,
}

impl Job {
    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn words(mut self, words: &str) -> Self {
        self.command.args(words.split_whitespace());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.input = Input::Stdio(stdin.into());
        self
    }

    pub(crate) fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    /// Ranks may outlive the launcher for a moment: it will be killed.
    pub(crate) fn orphans_follow(mut self) -> Self {
        self.orphans = Orphans::FollowSoon;
        self
    }

    pub(crate) fn run(self) -> Outcome {
        self.start().wait()
    }

    pub(crate) fn start(self) -> Running {
        self.start_with(Stdio::piped(), Stdio::piped())
    }

    #[expect(unsafe_code, reason = "setsid in the child")]
    pub(crate) fn start_with(mut self, stdout: Stdio, stderr: Stdio) -> Running {
        let bytes = match self.input {
            Input::Nothing => {
                self.command.stdin(Stdio::null());
                None
            }
            Input::Bytes(bytes) => {
                self.command.stdin(Stdio::piped());
                Some(bytes)
            }
            Input::Stdio(stdin) => {
                self.command.stdin(stdin);
                None
            }
        };
        self.command.stdout(stdout).stderr(stderr);
        // Signals as a terminal has them, also where the tests run in the background, which ignores SIGINT.
        let own_session = || {
            // SAFETY: touches no memory.
            unsafe { libc::setsid() };
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                // SAFETY: touches no memory.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: setsid and signal are async-signal-safe.
        unsafe { self.command.pre_exec(own_session) };
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{:?}: {e}", self.command));
        let writer = bytes.zip(child.stdin.take()).map(|(bytes, mut pipe)| {
            thread::spawn(move || {
                let _ = pipe.write_all(&bytes); // A program may refuse before it has read all.
            })
        });
        let stdout = Reader::of(child.stdout.take());
        let stderr = Reader::of(child.stderr.take());
        let shown = format!("{:?}", self.command);
        Running {
            child,
            shown,
            ends: Instant::now() + self.deadline,
            stdout,
            stderr,
            writer,
            orphans: self.orphans,
        }
    }
}

/// What has come through a pipe so far.
struct Reader {
    found: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let found = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&found);
        let thread = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                    into.lock().unwrap().extend_from_slice(&buffer[..n]);
                }
            })
        });
        Self { found, thread }
    }

    fn so_far(&self) -> Vec<u8> {
        self.found.lock().unwrap().clone()
    }

    fn all(mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.so_far()
    }
}

/// A process that was started.
pub(crate) struct Running {
    child: Child,
    shown: String,
    ends: Instant,
    stdout: Reader,
    stderr: Reader,
    writer: Option<JoinHandle<()>>,
    orphans: Orphans,
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Sends the launcher a signal.
    pub(crate) fn signal(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    /// Returns a line of stdout, once it is there: 0 is the first.
    pub(crate) fn line(&mut self, number: usize) -> String {
        let found = Arc::clone(&self.stdout.found);
        self.until(&format!("line {number} on stdout"), |_| {
            let text = String::from_utf8_lossy(&found.lock().unwrap()).into_owned();
            let (complete, _) = text.rsplit_once('\n')?;
            complete.lines().nth(number).map(str::to_owned)
        })
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Returns the pids of all ranks once there are `procs` of them and each runs its kernel.
    pub(crate) fn ranks(&mut self, procs: usize) -> Vec<i32> {
        self.until(&format!("{procs} ranks at work"), |session| {
            let mut ranks: Vec<i32> = members(session)
                .into_iter()
                .filter(|process| process.name == "spmd-rank" && process.state != 'Z')
                .filter(|process| attached(process.pid))
                .map(|process| process.pid)
                .collect();
            ranks.sort_unstable();
            (ranks.len() == procs).then_some(ranks)
        })
    }

    /// Waits for something to come true, while the process lives and the deadline has not passed.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(i32) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(self.pid()) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > self.ends {
                self.fail(&format!("never came to: {what} ({ended:?})"));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn fail(&mut self, why: &str) -> ! {
        let left = members(self.pid());
        left.iter().for_each(|process| kill(process.pid, libc::SIGKILL));
        let _ = self.child.wait();
        panic!(
            "{}: {why}\nprocesses: {left:?}\nstdout: {}\nstderr: {}",
            self.shown,
            String::from_utf8_lossy(&self.stdout.so_far()),
            self.stderr()
        )
    }

    fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > self.ends {
                self.fail("is over its deadline");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn wait(mut self) -> Outcome {
        let status = self.ended();
        let session = self.pid();
        if self.orphans == Orphans::FollowSoon {
            while members(session).iter().any(|process| process.state != 'Z') {
                if Instant::now() > self.ends {
                    self.fail("left processes that do not follow it");
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        let left = members(session);
        for process in &left {
            kill(process.pid, libc::SIGKILL);
            reap(process.pid);
        }
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap();
        }
        let outcome = Outcome {
            code: status.code(),
            signal: status.signal(),
            pid: session,
            stdout: self.stdout.all(),
            stderr: String::from_utf8_lossy(&self.stderr.all()).into_owned(),
            shown: self.shown,
        };
        if self.orphans == Orphans::Forbidden {
            assert!(left.is_empty(), "{}: processes were left: {left:?}", outcome.told());
        }
        outcome
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) pid: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    shown: String,
}

impl Outcome {
    /// All there is to say, for the message of a failed assertion.
    pub(crate) fn told(&self) -> String {
        format!(
            "{}\nexit {:?}, signal {:?}\nstdout: {}\nstderr: {}",
            self.shown,
            self.code,
            self.signal,
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        )
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.told());
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exited(0)
    }

    /// Exactly one JSON document, and nothing after its newline.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        assert_eq!(text.matches('\n').count(), 1, "one line: {}", self.told());
        assert!(text.ends_with('\n'), "{}", self.told());
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {}", self.told()))
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in: {}", self.told());
        self
    }

    /// Failed with this code and one well-formed message, and nothing on stdout.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, text: &str) -> Self {
        let told = self.told();
        assert_eq!(self.code, Some(code), "{told}");
        assert!(self.stdout.is_empty(), "stdout is for results: {told}");
        self.message(text)
    }

    /// The last thing said is one line `spmd: error: …`, and perhaps one with a hint.
    #[track_caller]
    pub(crate) fn message(self, text: &str) -> Self {
        let told = self.told();
        let lines: Vec<&str> = self.stderr.lines().collect();
        let errors: Vec<&&str> =
            lines.iter().filter(|line| line.starts_with("spmd: error: ")).collect();
        assert_eq!(errors.len(), 1, "one error: {told}");
        for line in &lines {
            // A line a rank follows a time limit that was reached.
            let known =
                ["spmd: error: ", "spmd: warning: ", "spmd: resumed ", "  hint: ", "  rank "];
            // Or a line of a file that is quoted, and what points into it.
            let quoted = line.trim_start_matches([' ', '.']).trim_start_matches(char::is_numeric);
            let fine =
                known.iter().any(|start| line.starts_with(start)) || quoted.starts_with(" |");
            assert!(fine || quoted.starts_with('|'), "odd line: {told}");
        }
        for odd in ["panicked at", "RUST_BACKTRACE", "Os {", "kind:", "Error(", "Some(", "\u{1b}"] {
            assert!(!self.stderr.contains(odd), "`{odd}` is not for people: {told}");
        }
        self.says(text)
    }
}

pub(crate) fn kill(pid: i32, signal: i32) {
    #[expect(unsafe_code, reason = "kill")]
    // SAFETY: no memory is involved.
    unsafe {
        libc::kill(pid, signal)
    };
}

fn reap(pid: i32) {
    let begun = Instant::now();
    // A child of ours, if it was an orphan; a grandchild is its parent's business.
    while begun.elapsed() < Duration::from_secs(5) {
        #[expect(unsafe_code, reason = "waitpid")]
        // SAFETY: no status is asked for.
        let done = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
        if done != 0 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[expect(unsafe_code, reason = "prctl")]
        // SAFETY: no memory is involved.
        let done = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        assert_eq!(done, 0, "cannot adopt orphans");
    });
}

/// A process as `/proc` shows it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
    pub(crate) state: char,
}

/// Returns every process of a session but its leader, dead and unreaped ones too.
pub(crate) fn members(session: i32) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name, in parentheses, may hold anything; the rest is separated by blanks.
        let Some((start, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if pid != session && fields.get(3) == Some(&session.to_string().as_str()) {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let first = command.split(|&byte| byte == 0).next().unwrap_or_default();
            let name = if first.is_empty() {
                start.rsplit_once('(').map_or("", |(_, name)| name).to_owned()
            } else {
                String::from_utf8_lossy(first).into_owned()
            };
            let state = fields[0].chars().next().unwrap();
            found.push(Process { pid, name, state });
        }
    }
    found
}

/// Says whether a rank has come as far as to map the segment.
fn attached(pid: i32) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.contains("/dev/shm/spmd-") || maps.contains("/memfd:spmd")
}

/// Says whether this process is root, for whom modes of files are no hindrance.
pub(crate) fn is_root() -> bool {
    #[expect(unsafe_code, reason = "geteuid")]
    // SAFETY: always succeeds.
    unsafe {
        libc::geteuid() == 0
    }
}

/// Returns the CPUs this process may use.
pub(crate) fn cpus() -> Vec<u32> {
    cpu_list(&status_field("self", "Cpus_allowed_list"))
}

pub(crate) fn status_field(pid: &str, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, v)| v.trim().to_owned())
}

/// The CPU time that a process has used outside system calls, in ticks of 10 ms; 0 when it is gone.
pub(crate) fn cpu_ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

pub(crate) fn cpu_list(text: &str) -> Vec<u32> {
    text.split(',')
        .flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            first.parse::<u32>().unwrap()..=last.parse::<u32>().unwrap()
        })
        .collect()
}

/// Returns a user's program from this directory's `examples`, built like the program under test.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let profile_dir = Path::new(SPMD).parent().unwrap();
    BUILT.call_once(|| {
        // `cargo test` has built them; `cargo test --test it` has not, or not the latest.
        let Some(cargo) = std::env::var_os("CARGO") else { return };
        let profile = match profile_dir.file_name().and_then(|name| name.to_str()).unwrap() {
            "debug" => "dev",
            name => name,
        };
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--examples", "--profile", profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.unwrap().success(), "the examples do not build");
    });
    let path = profile_dir.join("examples").join(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}
