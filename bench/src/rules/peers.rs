//! The programs beside which rules are measured: Debian's sec, syslog-ng-core and mawk.
//!
//! syslog-ng-core conflicts with rsyslog: `scripts/bench-setup.sh` unpacks both without installing them, into a folder
//! of their own. Refuses to know: rules of ours.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::process::{Process, wait_until};

/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// Columns that syslog-ng's csv-parser names.
const COLUMNS: usize = 66;

/// Where a program is: installed, or unpacked in `folder`.
pub(crate) fn find(name: &str, folder: &Path) -> Option<PathBuf> {
    let unpacked = ["usr/bin", "usr/sbin"].map(|part| folder.join(part));
    let installed = ["/usr/bin", "/usr/sbin"].map(PathBuf::from);
    let mut places = unpacked.into_iter().chain(installed).map(|place| place.join(name));
    places.find(|path| path.is_file()).map(|path| path.canonicalize().unwrap_or(path))
}

/// What is said when a program is not there.
pub(crate) fn missing(name: &str) -> String {
    format!("{name} is not there: scripts/bench-setup.sh")
}

/// SEC over a file, once, to its end.
pub(crate) fn sec(program: &Path, rules: &Path, lines: &Path) -> Command {
    let mut command = Command::new("perl");
    command
        .arg(program)
        .arg(format!("--conf={}", rules.display()))
        .arg(format!("--input={}", lines.display()));
    command.args(["--notail", "--nointevents", "--quoting", "--log=/dev/null", "--debug=1"]);
    command
}

/// mawk counting the values of one field.
pub(crate) fn mawk(program: &Path, lines: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-F\\|\\|", "{n[$10]++}END{for(k in n)print k,n[k]}"]).arg(lines);
    command
}

/// A running syslog-ng: TCP, csv-parser, grouping-by channel over 60 s.
#[derive(Debug)]
pub(crate) struct SyslogNg {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    control: Control,
}

/// How a syslog-ng is asked.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    program: PathBuf,
    socket: PathBuf,
    libraries: String,
}

impl SyslogNg {
    pub(crate) fn start(program: &Path, folder: &Path, unpacked: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = folder.join("syslog-ng.conf");
        fs::write(&configuration, configured(address, folder))?;
        let unpacked = unpacked.canonicalize().unwrap_or_else(|_| unpacked.to_owned());
        let library = |part: &str| unpacked.join(part).display().to_string();
        let libraries = [
            library("usr/lib/x86_64-linux-gnu"),
            library("usr/lib/aarch64-linux-gnu"),
            library("usr/lib/syslog-ng"),
            library("lib/x86_64-linux-gnu"),
            library("lib/aarch64-linux-gnu"),
        ]
        .join(":");
        let socket = folder.join("ctl");
        let log = fs::File::create(folder.join("syslog-ng.log"))?;
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &libraries).args(["--foreground", "--no-caps", "--stderr"]);
        command.arg("--cfgfile").arg(&configuration).arg("--persist-file").arg(folder.join("persist"));
        command.arg("--pidfile").arg(folder.join("pid")).arg("--control").arg(&socket);
        command.arg("--module-path").arg(modules(&unpacked));
        let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))?;
        let control = Control { program: program.with_file_name("syslog-ng-ctl"), socket, libraries };
        let mut started = Self { process, address, control };
        wait_until("syslog-ng", &mut started.process, Duration::from_millis(20), START_PATIENCE, || {
            Ok(TcpStream::connect(address).is_ok())
        })
        .with_context(|| fs::read_to_string(folder.join("syslog-ng.log")).unwrap_or_default())?;
        Ok(started)
    }

    /// How it is asked.
    pub(crate) fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Control {
    /// Lines that came in and went through the log path so far.
    pub(crate) fn processed(&self) -> anyhow::Result<u64> {
        let mut command = Command::new(&self.program);
        command.env("LD_LIBRARY_PATH", &self.libraries).arg("stats").arg("--control").arg(&self.socket);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        // The last element of the log path counts what came through: a line is no alert.
        let is_last = |line: &&str| line.starts_with("filter;f_alert;") && line.contains(";not_matched;");
        let count = text.lines().find(is_last).and_then(|line| line.rsplit(';').next()).unwrap_or("0");
        Ok(count.trim().parse()?)
    }
}

/// The folder of modules, whatever the version is.
fn modules(unpacked: &Path) -> PathBuf {
    let folder = unpacked.join("usr/lib/syslog-ng");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut versions = entries.map(|entry| entry.path()).filter(|path| path.join("libcsvparser.so").exists());
    versions.next().unwrap_or(folder)
}

fn configured(address: SocketAddr, folder: &Path) -> String {
    let columns: Vec<String> = (1..=COLUMNS).map(|n| format!("\"c{n}\"")).collect();
    format!(
        "@version: 3.38\n\
         options {{ stats-level(1); stats-freq(0); keep-hostname(yes); use-dns(no); }};\n\
         source s {{ network(ip(\"127.0.0.1\") port({port}) transport(tcp) flags(syslog-protocol) \
           log-iw-size(100000) max-connections(10) log-fetch-limit(1000)); }};\n\
         parser p_columns {{ csv-parser(columns({columns}) delimiters(chars(\"\") strings(\"||\")) \
           flags(greedy)); }};\n\
         parser p_group {{ grouping-by(key(\"${{c14}}\") where(\"${{c10}}\" eq \"NET_ERR\") scope(global) timeout(60) \
           trigger(\"$(context-length)\" >= \"12\") \
           aggregate(value(\"MESSAGE\" \"ALERT ${{c14}}\") inherit-mode(\"none\")) inject-mode(\"pass-through\")); }};\n\
         filter f_alert {{ message(\"^ALERT \"); }};\n\
         destination d_out {{ file(\"{out}\"); }};\n\
         log {{ source(s); parser(p_columns); parser(p_group); filter(f_alert); destination(d_out); }};\n",
        port = address.port(),
        columns = columns.join(", "),
        out = folder.join("alerts").display(),
    )
}
