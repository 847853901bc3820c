//! F8: the disk runs full, three times. Inputs wait, pages and receivers live, nothing is lost; it goes on when there
//! is room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use torture::clock::{eventually, now};
use torture::drill::Drill;
use torture::scratch::Scratch;

use torture::load::{LISTENERS, Load, conclude, lines, sound, takes_all};

const SMALL: &str = "journal: {segment_bytes: 1048576, reserve_bytes: 2097152}\n";
/// Nothing acknowledged for so long: the inputs stand.
const STILL: Duration = Duration::from_secs(2);

/// A small file system of its own, unmounted with its handle.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, size: &str) -> Result<Option<Self>> {
        fs::create_dir_all(&at)?;
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output()?;
        Ok(mounted.status.success().then_some(Self(at)))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A busy one is taken away once nobody uses it.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Takes all room that is left.
fn fill(path: &Path) -> Result<()> {
    let mut ballast = File::create(path)?;
    for block in [1 << 16, 1 << 12, 1] {
        while ballast.write_all(&vec![7; block]).is_ok() {}
    }
    Ok(())
}

#[test]
#[expect(clippy::print_stderr, reason = "a drill that is not held must be seen")]
fn the_disk_runs_full() {
    let run = || -> Result<()> {
        let place = Scratch::new("tmpfs")?;
        let Some(mount) = Mount::new(place.path("mount"), "48m")? else {
            eprintln!("SKIPPED: the_disk_runs_full: `mount -t tmpfs` is refused here; run it as root");
            return place.done();
        };
        let data = mount.0.join("data");
        let more = format!("{LISTENERS}{SMALL}");
        let mut drill = Drill::in_folder("disk", Some(&data), &more, takes_all(), None)?;
        drill.node.up()?;
        drill.node.ready()?;
        let mut load = Load::open();
        load.relp(&drill, lines("TA"), 12_000, sound())?;
        let acked = |load: &Load| load.progress().context("the load ended before the disk was full");
        let mut slowest = Duration::ZERO;
        for round in 1..=3 {
            eventually("lines are acknowledged", || Ok((acked(&load)? > round * 3_000).then_some(())))?;
            fill(&mount.0.join("ballast"))?;
            eventually("the node says that the disk is full", || {
                if drill.node.poll()?.is_some() {
                    bail!("the node ended when the disk was full: {}", drill.node.said()?);
                }
                let said = drill.node.get("/-/ready").err().map(|e| e.to_string());
                Ok(said.filter(|said| said.contains("inputs wait")))
            })?;
            let mut last = (acked(&load)?, now());
            eventually("the inputs wait", || {
                let acked = acked(&load)?;
                if acked != last.0 {
                    last = (acked, now());
                }
                Ok((last.1.elapsed() > STILL).then_some(()))
            })?;
            ensure!(drill.node.get("/-/healthy")? == "healthy\n", "pages live");
            fs::remove_file(mount.0.join("ballast"))?;
            let freed = now();
            eventually("lines are acknowledged again", || Ok((acked(&load)? > last.0).then_some(())))?;
            slowest = slowest.max(freed.elapsed());
        }
        load.close();
        eventually("all lines are acknowledged", || Ok(load.progress().is_none().then_some(())))?;
        eprintln!("disk: went on at most {} ms after there was room", slowest.as_millis());
        conclude("disk", drill, load, false)?;
        drop(mount);
        place.done()
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}
