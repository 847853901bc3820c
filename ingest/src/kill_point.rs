//! Kill points: named places where a drill may end the process as a crash would. Without the feature `failpoints`
//! there are none.
//!
//! Armed by the environment: `FAILPOINTS=K3=5*off->return` ends the process when `K3` is passed for the sixth time.
//! Refuses to know: what is going on where it is called.

/// Ends the process here, at once and without any clean-up, if this point is armed.
#[cfg(feature = "failpoints")]
pub fn kill_point(name: &str) {
    fail::fail_point!(name, |_| std::process::abort());
}

/// Nothing: this build has no kill points.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn kill_point(_name: &str) {}

/// Arms what the environment names. Call once, first of all.
///
/// # Panics
/// In a build for drills: `FAILPOINTS` cannot be read.
#[cfg(feature = "failpoints")]
pub fn arm_kill_points() {
    // The points stay armed to the end of the process: it is the process that ends.
    std::mem::forget(fail::FailScenario::setup());
    // Armed only to find out whether a binary has kill points at all.
    kill_point("K0");
}

/// Nothing: this build has no kill points.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn arm_kill_points() {}
