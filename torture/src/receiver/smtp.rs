//! A mail server without TLS that takes mails into its journal.
//!
//! Refuses to know: what the mails say beyond subject and Message-ID.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::{Plan, Receipt, Receipts, Reply};
use crate::clock::background;
use crate::node::Trigger;

/// A running server; it ends with the process.
#[derive(Debug)]
pub struct Smtp {
    address: SocketAddr,
    receipts: Receipts,
}

impl Smtp {
    /// A server that journals into `path`; [`Reply::Kill`] pulls `trigger`. Replies are those to the dot after DATA.
    ///
    /// # Errors
    /// No port, the disk.
    pub fn start(path: &Path, plan: Plan, trigger: Trigger) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let receipts = Receipts::new(path)?;
        let shared = receipts.clone();
        let plan = Arc::new(Mutex::new(plan));
        // The thread ends with the process: it waits in `accept`.
        drop(background("smtp", move || {
            while let Ok((stream, _)) = listener.accept() {
                let (receipts, plan, trigger) = (shared.clone(), Arc::clone(&plan), trigger.clone());
                // Its requests are those of the node that is up now.
                let life = trigger.life();
                // A connection that fails is the sender's business.
                drop(background("smtp connection", move || {
                    serve(&stream, &receipts, &plan, (&trigger, life))
                }));
            }
        })?);
        Ok(Self { address, receipts })
    }

    /// Its part of a node's configuration.
    pub fn config(&self) -> String {
        let at = self.address;
        format!(
            "email_configs: [{{to: duty@example.com, from: watchroom@example.com, smarthost: \"{at}\", tls: none}}]"
        )
    }

    /// What it was asked.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }
}

fn serve(
    mut stream: &TcpStream,
    receipts: &Receipts,
    plan: &Mutex<Plan>,
    (trigger, life): (&Trigger, Option<u32>),
) -> Result<()> {
    let mut reader = BufReader::new(stream);
    stream.write_all(b"220 torture ESMTP\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.trim_end().to_ascii_uppercase();
        if verb.starts_with("QUIT") {
            stream.write_all(b"221 bye\r\n")?;
            return Ok(());
        }
        if !verb.starts_with("DATA") {
            stream.write_all(b"250 torture\r\n")?;
            continue;
        }
        stream.write_all(b"354 go on\r\n")?;
        let mail = mail(&mut reader)?;
        let reply = plan.lock().unwrap_or_else(PoisonError::into_inner)();
        receipts.note(receipt(mail, reply))?;
        match reply {
            Reply::Take => stream.write_all(b"250 taken\r\n")?,
            Reply::Refuse => stream.write_all(b"451 try again\r\n")?,
            Reply::SlowDown => {
                stream.write_all(b"421 too busy\r\n")?;
                return Ok(());
            }
            Reply::Cut => return Ok(()),
            Reply::Kill => {
                trigger.pull(life);
                return Ok(());
            }
            Reply::Hang => {
                // Ends when the sender closes.
                drop(reader.read(&mut [0; 1]));
                return Ok(());
            }
        }
    }
}

/// The mail up to the dot.
fn mail(reader: &mut BufReader<&TcpStream>) -> Result<String> {
    let mut mail = Vec::new();
    loop {
        let begun = mail.len();
        if reader.read_until(b'\n', &mut mail)? == 0 {
            anyhow::bail!("the sender went away within a mail");
        }
        if &mail[begun..] == b".\r\n" {
            mail.truncate(begun);
            return Ok(String::from_utf8_lossy(&mail).into_owned());
        }
    }
}

fn receipt(mail: String, reply: Reply) -> Receipt {
    let header = |name: &str| {
        let line = mail.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(": ").map_or("", |(_, value)| value).to_owned()
    };
    let subject = header("Subject:");
    let id = header("Message-ID:");
    let delivery_id = id.trim_start_matches('<').split('@').next().unwrap_or_default().to_owned();
    let status = if subject.contains("[RESOLVED]") { "resolved" } else { "firing" }.to_owned();
    let labels = BTreeMap::from([("subject".to_owned(), subject)]);
    Receipt { delivery_id, status, labels, starts_at: String::new(), body: mail, reply }
}
