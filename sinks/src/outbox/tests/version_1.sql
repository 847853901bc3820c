-- The tables of version 1, and one delivery in each state.
CREATE TABLE schema_version (part TEXT PRIMARY KEY, version INTEGER NOT NULL);
INSERT INTO schema_version VALUES ('outbox', 1);
CREATE TABLE alert (
  alert_id    TEXT NOT NULL,
  status      TEXT NOT NULL,             -- firing, resolved
  body        TEXT NOT NULL,             -- the notification as JSON
  cause_lsn   INTEGER NOT NULL,          -- the journal entry that caused it
  created_ms  INTEGER NOT NULL,
  PRIMARY KEY (alert_id, status)
);
CREATE TABLE delivery (
  delivery_id TEXT PRIMARY KEY,
  alert_id    TEXT NOT NULL,
  status      TEXT NOT NULL,
  receiver    TEXT NOT NULL,
  target      TEXT NOT NULL,             -- receiver/integration[index]
  state       TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'retry', 'uncertain', 'dead')),
  next_ms     INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  uncertain   INTEGER NOT NULL DEFAULT 0,
  created_ms  INTEGER NOT NULL,
  updated_ms  INTEGER NOT NULL,
  deadline_ms INTEGER NOT NULL,
  last_error  TEXT,
  UNIQUE (alert_id, status, target),
  FOREIGN KEY (alert_id, status) REFERENCES alert (alert_id, status)
);
CREATE INDEX delivery_waiting ON delivery (target, next_ms) WHERE state IN ('pending', 'retry', 'uncertain');
CREATE INDEX delivery_sending ON delivery (target) WHERE state = 'sending';
CREATE INDEX delivery_updated ON delivery (updated_ms);
CREATE TABLE attempt (
  delivery_id TEXT NOT NULL REFERENCES delivery (delivery_id) ON DELETE CASCADE,
  number      INTEGER NOT NULL,
  started_ms  INTEGER NOT NULL,
  ended_ms    INTEGER,
  outcome     TEXT,                      -- sent, retry, uncertain, dead; null while it is under way
  detail      TEXT,
  PRIMARY KEY (delivery_id, number)
) WITHOUT ROWID;
INSERT INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES ('pending', 'firing', '{"alert_id":"pending","fingerprint":"f","status":"firing","withdrawn":false,"labels":{"alertname":"ChannelNetworkDown"},"annotations":{"summary":"GHT is down"},"starts_ms":1,"ends_ms":null,"kind":"consecutive","reason":"12 in a row","gate":"","thresholds":{},"buckets":[],"distinct":[],"distinct_count":0,"orders":[],"orders_count":0,"amount":null,"samples":[]}', 7, 1000);
INSERT INTO delivery (delivery_id, alert_id, status, receiver, target, state, next_ms, created_ms, updated_ms, deadline_ms) VALUES ('pending-firing-0', 'pending', 'firing', 'duty', 'duty/email[0]', 'pending', 1000, 1000, 1000, 90000000);
INSERT INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES ('sending', 'firing', '{"alert_id":"sending","fingerprint":"f","status":"firing","withdrawn":false,"labels":{"alertname":"ChannelNetworkDown"},"annotations":{"summary":"GHT is down"},"starts_ms":1,"ends_ms":null,"kind":"consecutive","reason":"12 in a row","gate":"","thresholds":{},"buckets":[],"distinct":[],"distinct_count":0,"orders":[],"orders_count":0,"amount":null,"samples":[]}', 7, 1000);
INSERT INTO delivery (delivery_id, alert_id, status, receiver, target, state, next_ms, created_ms, updated_ms, deadline_ms) VALUES ('sending-firing-0', 'sending', 'firing', 'duty', 'duty/email[0]', 'sending', 1000, 1000, 1000, 90000000);
INSERT INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES ('sent', 'firing', '{"alert_id":"sent","fingerprint":"f","status":"firing","withdrawn":false,"labels":{"alertname":"ChannelNetworkDown"},"annotations":{"summary":"GHT is down"},"starts_ms":1,"ends_ms":null,"kind":"consecutive","reason":"12 in a row","gate":"","thresholds":{},"buckets":[],"distinct":[],"distinct_count":0,"orders":[],"orders_count":0,"amount":null,"samples":[]}', 7, 1000);
INSERT INTO delivery (delivery_id, alert_id, status, receiver, target, state, next_ms, created_ms, updated_ms, deadline_ms) VALUES ('sent-firing-0', 'sent', 'firing', 'duty', 'duty/email[0]', 'sent', 1000, 1000, 1000, 90000000);
INSERT INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES ('retry', 'firing', '{"alert_id":"retry","fingerprint":"f","status":"firing","withdrawn":false,"labels":{"alertname":"ChannelNetworkDown"},"annotations":{"summary":"GHT is down"},"starts_ms":1,"ends_ms":null,"kind":"consecutive","reason":"12 in a row","gate":"","thresholds":{},"buckets":[],"distinct":[],"distinct_count":0,"orders":[],"orders_count":0,"amount":null,"samples":[]}', 7, 1000);
INSERT INTO delivery (delivery_id, alert_id, status, receiver, target, state, next_ms, created_ms, updated_ms, deadline_ms) VALUES ('retry-firing-0', 'retry', 'firing', 'duty', 'duty/email[0]', 'retry', 1000, 1000, 1000, 90000000);
INSERT INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES ('uncertain', 'firing', '{"alert_id":"uncertain","fingerprint":"f","status":"firing","withdrawn":false,"labels":{"alertname":"ChannelNetworkDown"},"annotations":{"summary":"GHT is down"},"starts_ms":1,"ends_ms":null,"kind":"consecutive","reason":"12 in a row","gate":"","thresholds":{},"buckets":[],"distinct":[],"distinct_count":0,"orders":[],"orders_count":0,"amount":null,"samples":[]}', 7, 1000);
INSERT INTO delivery (delivery_id, alert_id, status, receiver, target, state, next_ms, created_ms, updated_ms, deadline_ms) VALUES ('uncertain-firing-0', 'uncertain', 'firing', 'duty', 'duty/email[0]', 'uncertain', 1000, 1000, 1000, 90000000);
INSERT INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES ('dead', 'firing', '{"alert_id":"dead","fingerprint":"f","status":"firing","withdrawn":false,"labels":{"alertname":"ChannelNetworkDown"},"annotations":{"summary":"GHT is down"},"starts_ms":1,"ends_ms":null,"kind":"consecutive","reason":"12 in a row","gate":"","thresholds":{},"buckets":[],"distinct":[],"distinct_count":0,"orders":[],"orders_count":0,"amount":null,"samples":[]}', 7, 1000);
INSERT INTO delivery (delivery_id, alert_id, status, receiver, target, state, next_ms, created_ms, updated_ms, deadline_ms) VALUES ('dead-firing-0', 'dead', 'firing', 'duty', 'duty/email[0]', 'dead', 1000, 1000, 1000, 90000000);
UPDATE delivery SET attempts = 1 WHERE state = 'sending';
INSERT INTO attempt (delivery_id, number, started_ms) VALUES ('sending-firing-0', 1, 1000);
