//! A database that refuses, an old one, a full one: nothing that belongs there is forgotten.

use super::*;
use crate::outbox::reserve;

fn states(handle: &OutboxHandle) -> Vec<(String, Status)> {
    let mut all = handle.list(&Filter { limit: 99, ..Filter::default() }).expect("answers");
    all.reverse();
    all.into_iter().filter(|d| d.target == MAIL).map(|d| (d.alert_id, d.status)).collect()
}

fn news(ids: &[(&str, Status)]) -> Vec<(String, Status)> {
    ids.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
}

#[test]
fn what_the_database_refuses_is_kept_and_goes_first_later() {
    let scratch = Scratch::new();
    let handle = OutboxHandle::new(open(&scratch));
    handle.break_for_test(true);
    assert!(handle.enqueue(&[fired("a"), transition(Change::Updated, alert("a"))], 1_000).is_err());
    assert_eq!(handle.enqueue(&[resolved("a")], 1_500).expect("kept without asking again so soon"), 0);
    assert!(handle.retry_unwritten(2_000).is_err(), "a second later it is asked again");
    let counts = handle.counts();
    assert_eq!(
        (counts.unwritten_length, counts.storage_errors_total),
        (2, 2),
        "two news, not three transitions"
    );
    assert!(handle.has_unwritten(), "no snapshot now");
    handle.break_for_test(false);
    assert_eq!(handle.enqueue(&[fired("b")], 3_000).expect("works again"), 5);
    let counts = handle.counts();
    assert_eq!((counts.unwritten_length, counts.storage_error), (0, None));
    assert!(!handle.has_unwritten());
    assert_eq!(
        states(&handle),
        news(&[("a", Status::Firing), ("a", Status::Resolved), ("b", Status::Firing)])
    );
}

#[test]
fn a_crash_with_news_unwritten_is_made_good_by_the_replay() {
    let scratch = Scratch::new();
    let story = [fired("a"), fired("b"), resolved("a")];
    let handle = OutboxHandle::new(open(&scratch));
    handle.enqueue(&story[..1], 0).expect("takes");
    handle.break_for_test(true);
    assert!(handle.enqueue(&story[1..], 1).is_err());
    drop(handle);
    // No snapshot was taken meanwhile: the replay hands in everything since the last one.
    let handle = OutboxHandle::new(open(&scratch));
    assert_eq!(handle.enqueue(&story, 2).expect("takes"), 3);
    assert_eq!(handle.enqueue(&story, 3).expect("takes"), 0);
    assert_eq!(
        states(&handle),
        news(&[("a", Status::Firing), ("b", Status::Firing), ("a", Status::Resolved)])
    );
}

#[test]
fn a_file_that_another_process_holds_costs_the_judge_a_quarter_of_a_second() {
    let scratch = Scratch::new();
    let handle = OutboxHandle::new(open(&scratch));
    let other = Connection::open(scratch.path("outbox.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    #[expect(clippy::disallowed_methods, reason = "how long a call blocks is what is tested")]
    let now = std::time::Instant::now;
    let start = now();
    assert!(handle.enqueue(&[fired("a")], 1_000).is_err());
    let waited = start.elapsed();
    // Far less than for ever, and than as often as there is news: this machine may be busy.
    let bound = std::time::Duration::from_secs(20);
    assert!(waited < bound, "{waited:?}");
    let start = now();
    for n in 0..100 {
        handle.enqueue(&[fired(&format!("b{n}"))], 1_000 + n).expect("kept");
    }
    assert!(start.elapsed() < bound, "and the next second nothing at all, or this had taken 25 s");
    other.execute_batch("ROLLBACK").expect("unlocks");
    assert_eq!(handle.retry_unwritten(2_000).expect("writes"), 202);
    assert_eq!(handle.counts().storage_error, None);
}

#[test]
fn memory_for_what_is_refused_is_bounded_and_its_overflow_holds_snapshots_back() {
    let scratch = Scratch::new();
    let handle = OutboxHandle::new(open(&scratch));
    handle.break_for_test(true);
    let many: Vec<_> = (0..10_005).map(|n| fired(&format!("a{n}"))).collect();
    assert!(handle.enqueue(&many, 1).is_err());
    let counts = handle.counts();
    assert_eq!((counts.unwritten_length, counts.unwritten_dropped_total), (10_000, 5));
    handle.break_for_test(false);
    assert_eq!(handle.retry_unwritten(2_000).expect("writes"), 20_000);
    assert!(handle.has_unwritten(), "five are in the journal only: a restart must find them");
}

#[test]
fn the_storage_error_goes_when_writing_works_again_though_nothing_waits() {
    let scratch = Scratch::new();
    let handle = OutboxHandle::new(open(&scratch));
    handle.enqueue(&[fired("a")], 0).expect("takes");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("starts");
    handle.break_for_test(true);
    assert!(runtime.block_on(handle.next(MAIL, 1_000)).is_err());
    assert!(handle.counts().storage_error.is_some());
    assert!(
        handle.retry_unwritten(1_999).is_ok() && handle.counts().storage_error.is_some(),
        "not asked yet"
    );
    assert!(handle.retry_unwritten(2_000).is_err());
    handle.break_for_test(false);
    handle.retry_unwritten(3_000).expect("writes");
    assert_eq!(handle.counts().storage_error, None);
}

#[test]
fn a_full_disk_leaves_room_for_what_must_be_sent() {
    let scratch = Scratch::new();
    let config = OutboxConfig { reserve_bytes: 4 << 20, ..OutboxConfig::default() };
    let mut outbox = Outbox::open(&scratch.path("outbox.db"), config, routes()).expect("opens");
    assert!(reserve::free_bytes(&outbox.connection).expect("answers") >= 4 << 20);
    // The file may not grow any more.
    let pages: i64 = outbox.connection.query_row("PRAGMA page_count", [], |r| r.get(0)).expect("answers");
    outbox.connection.pragma_update(None, "max_page_count", pages).expect("a limit");
    let wal = scratch.path("outbox.db-wal");
    let wal_bytes = || std::fs::metadata(&wal).expect("is there").len();
    let before_bytes = wal_bytes();
    for n in 0..300 {
        let at_ms = n * 10;
        outbox.enqueue(&[fired(&format!("a{n}"))], at_ms).expect("takes");
        attempt(&mut outbox, at_ms, MAIL, &sent());
    }
    assert_eq!(wal_bytes(), before_bytes, "the log reuses what it has");
    // The bound holds: when the reserve is used up too, the refusal says so and nothing is half written.
    let refusal = (300..100_000)
        .find_map(|n| outbox.enqueue(&[fired(&format!("a{n}"))], 9_000).err())
        .expect("ends at last");
    assert!(refusal.to_string().contains("full"), "{refusal}");
    let halves: i64 = outbox
        .connection
        .query_row("SELECT count(*) FROM alert a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.alert_id = a.alert_id)", [], |r| r.get(0))
        .expect("answers");
    assert_eq!(halves, 0);
}

#[test]
fn the_write_ahead_log_stays_short() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    careless(&outbox);
    let wal = scratch.path("outbox.db-wal");
    let mut longest = 0;
    for n in 0..100 {
        let news: Vec<_> = (0..100).map(|m| fired(&format!("a{n}-{m}"))).collect();
        outbox.enqueue(&news, n).expect("takes");
        longest = longest.max(std::fs::metadata(&wal).expect("is there").len());
    }
    let written = std::fs::metadata(scratch.path("outbox.db")).expect("is there").len();
    assert!(written > 8 << 20, "{written} bytes: enough for several checkpoints");
    assert!(longest < 8 << 20, "{longest} bytes");
}

/// The tables as version 1 made them, with a delivery in every state.
const VERSION_1: &str = include_str!("version_1.sql");

#[test]
fn version_1_is_migrated_in_one_transaction() {
    let scratch = Scratch::new();
    let path = scratch.path("outbox.db");
    Connection::open(&path).expect("opens").execute_batch(VERSION_1).expect("makes version 1");
    let mut outbox = open(&scratch);
    let version: i64 =
        outbox.connection.query_row("SELECT version FROM schema_version", [], |r| r.get(0)).expect("answers");
    assert_eq!(version, 2);
    let mut all = outbox.list(&Filter { limit: 99, ..Filter::default() }).expect("answers");
    all.sort_by(|a, b| a.alert_id.cmp(&b.alert_id));
    let shown: Vec<_> =
        all.iter().map(|d| (d.alert_id.as_str(), d.state.as_str(), d.title.as_str())).collect();
    let title = "ChannelNetworkDown GHT is down";
    assert_eq!(
        shown,
        [
            ("dead", "dead", title),
            ("pending", "pending", title),
            ("retry", "retry", title),
            ("sending", "uncertain", title),
            ("sent", "sent", title),
            ("uncertain", "uncertain", title),
        ]
    );
    let sending = all.iter().find(|d| d.alert_id == "sending").expect("is there");
    assert_eq!(outbox.attempts(&sending.id).expect("answers")[0].outcome.as_deref(), Some("uncertain"));
    assert_eq!(due_ids(&outbox, i64::MAX / 2, MAIL).len(), 4);
    assert_eq!(attempt(&mut outbox, 9_000_000, MAIL, &sent()).1, DeliveryState::Sent);
    drop(outbox);
    // A new file has the same tables as a migrated one.
    let other = Scratch::new();
    let tables = |outbox: &Outbox| -> Vec<(String, String)> {
        let mut statement = outbox
            .connection
            .prepare(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
            )
            .expect("prepares");
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).expect("answers");
        rows.map(|r| r.expect("a row")).collect()
    };
    assert_eq!(tables(&open(&scratch)), tables(&open(&other)));
}

#[test]
fn a_migration_that_fails_leaves_version_1_whole() {
    let scratch = Scratch::new();
    let path = scratch.path("outbox.db");
    let connection = Connection::open(&path).expect("opens");
    connection.execute_batch(VERSION_1).expect("makes version 1");
    // The last statement of the step cannot work.
    connection.execute_batch("CREATE TABLE delivery_dead (x)").expect("stands in the way");
    let sql = |name: &str| -> String {
        connection
            .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [name], |r| r.get(0))
            .expect("answers")
    };
    let before = (sql("alert"), sql("delivery_waiting"));
    assert!(Outbox::open(&path, config(), routes()).is_err());
    assert_eq!((sql("alert"), sql("delivery_waiting")), before);
    let version: i64 =
        connection.query_row("SELECT version FROM schema_version", [], |r| r.get(0)).expect("answers");
    assert_eq!(version, 1);
    connection.execute_batch("DROP TABLE delivery_dead").expect("moved away");
    open(&scratch);
}
