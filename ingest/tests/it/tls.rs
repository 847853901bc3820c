//! TLS: who is let in and by what name, what is counted of the others, what a change of files does.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ingest::tls::{ClientAuth, HandshakeFault, TlsConfig, TlsServer};
use ingest::{Ledger, ListenerConfig, Protocol, TcpInput};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{CLIENT, Folder, Identity, SERVER, openssl};
use crate::support::{Node, arrived, assert_balanced, config, node};
use crate::tcp::serve;

const BUDGET: usize = 64 << 20;
const DAY_MS: i64 = 86_400_000;

/// Two authorities, of servers and of clients, and a server.
struct World {
    folder: Folder,
    servers: Identity,
    clients: Identity,
    server: Identity,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let (servers, clients) = (folder.authority("servers-ca"), folder.authority("clients-ca"));
        let server = folder.signed(&servers, "server", SERVER);
        Self { folder, servers, clients, server }
    }

    fn tls(&self, allow: &[&str]) -> TlsConfig {
        TlsConfig {
            certificate: self.server.certificate.clone(),
            key: self.server.key.clone(),
            client_ca: Some(self.clients.certificate.clone()),
            allow: allow.iter().map(|entry| (*entry).to_owned()).collect(),
            client_auth: None,
        }
    }

    async fn connect(
        &self,
        address: SocketAddr,
        identity: Option<&Identity>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.servers.certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain =
                    CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

fn listener(tls: TlsConfig) -> ListenerConfig {
    ListenerConfig { tls: Some(tls), ..config(Protocol::Tcp) }
}

fn real_now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "openssl dates its certificates by the clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn node_at(offset_ms: i64) -> Node {
    let mut node = node(BUDGET);
    let now_ms = real_now_ms() + offset_ms;
    node.context.clock = Arc::new(move || now_ms);
    node
}

fn line(text: &str) -> Vec<u8> {
    format!("<14>1 2016-07-22T18:15:00.496+08:00 web1 orders - - - {text}\n").into_bytes()
}

/// Serves with this configuration while `client` runs; sources and messages that came, and the ledger.
async fn with_client<C: Future<Output = ()>>(
    node: Node,
    tls: TlsConfig,
    client: impl FnOnce(SocketAddr, Arc<TlsServer>) -> C,
) -> (Vec<(String, String)>, Arc<Ledger>) {
    let input = TcpInput::bind(&listener(tls), &node.context).unwrap();
    let (address, ledger, server) = (input.local_addr(), input.ledger(), input.tls().unwrap());
    let client = async {
        client(address, server).await;
        // A handshake that is under way at shutdown is not counted.
        while ledger.snapshot().connections > 0 {
            tokio::task::yield_now().await;
        }
        node.shutdown.send(true).unwrap();
    };
    tokio::join!(serve(input), client);
    let mut got = Vec::new();
    while let Ok(parcel) = node.receiver.try_recv() {
        parcel.ledger().add_committed(parcel.batch.rows.len() as u64, parcel.repeated, None);
        got.extend(parcel.batch.rows.iter().map(|row| {
            let source = parcel.batch.sources[usize::from(row.source)].to_string();
            (source, parcel.batch.text(row.message).to_owned())
        }));
    }
    assert_balanced(&ledger);
    (got, ledger)
}

/// Sends one line and waits for the listener to close. An error if the listener does not let it.
async fn send(world: &World, address: SocketAddr, identity: Option<&Identity>) -> std::io::Result<()> {
    let mut stream = world.connect(address, identity).await?;
    stream.write_all(&line("hello")).await?;
    stream.shutdown().await?;
    assert_eq!(stream.read(&mut [0]).await?, 0, "the listener says nothing");
    Ok(())
}

/// The sender is let in and known as `source`.
async fn accepted(world: &World, tls: TlsConfig, identity: Option<&Identity>, source: &str) {
    let client = async |address, _| send(world, address, identity).await.unwrap();
    let (got, ledger) = with_client(node_at(0), tls, client).await;
    assert_eq!(got, [(source.to_owned(), "hello".to_owned())]);
    assert!(ledger.snapshot().handshakes_failed.iter().all(|(_, count)| *count == 0));
    assert_eq!(ledger.snapshot().read_errors, 0);
}

/// The sender is refused, and that is counted for this reason only.
async fn refused(
    world: &World,
    tls: TlsConfig,
    identity: Option<&Identity>,
    offset_ms: i64,
    fault: HandshakeFault,
) {
    let client = async |address, _| drop(send(world, address, identity).await.expect_err("refused"));
    let (got, ledger) = with_client(node_at(offset_ms), tls, client).await;
    assert_eq!(got, []);
    assert_counted(&ledger, fault);
}

fn assert_counted(ledger: &Ledger, fault: HandshakeFault) {
    let snapshot = ledger.snapshot();
    let failed: Vec<_> = snapshot.handshakes_failed.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failed, [&(fault, 1)]);
    assert_eq!(snapshot.received_bytes, 0);
}

#[tokio::test]
async fn let_in_by_name_wildcard_fingerprint_or_authority() {
    let world = World::new();
    let client = world.folder.client(&world.clients, "web1.example.org");
    let fingerprint = world.folder.fingerprint(&client);
    for allow in [&["web2.example.org", "WEB1.example.org"][..], &["*.example.org"], &[&fingerprint], &[]] {
        accepted(&world, world.tls(allow), Some(&client), "tcp/web1.example.org").await;
    }
    let many = format!("subjectAltName=DNS:b.example.org,DNS:a.example.org\n{CLIENT}");
    let many = world.folder.signed(&world.clients, "many", &many);
    accepted(&world, world.tls(&["a.example.org"]), Some(&many), "tcp/a.example.org").await;
    accepted(&world, world.tls(&["*.example.org"]), Some(&many), "tcp/b.example.org").await;
    // A name that stands for many names nobody.
    let wildcard = format!("subjectAltName=DNS:*.example.org\n{CLIENT}");
    let wildcard = world.folder.signed(&world.clients, "wildcard", &wildcard);
    accepted(&world, world.tls(&["*.example.org"]), Some(&wildcard), "tcp/127.0.0.1").await;
    let nameless = world.folder.signed(&world.clients, "nameless", CLIENT);
    let fingerprint = world.folder.fingerprint(&nameless);
    accepted(&world, world.tls(&[&fingerprint]), Some(&nameless), "tcp/127.0.0.1").await;
}

#[tokio::test]
async fn let_in_without_authorities() {
    let world = World::new();
    let open = TlsConfig { client_ca: None, ..world.tls(&[]) };
    accepted(&world, open.clone(), None, "tcp/127.0.0.1").await;
    // As rsyslog's x509/fingerprint users have them: self-signed, by default an authority's own.
    let pinned = world.folder.self_signed("pinned", &["subjectAltName=DNS:web9.example.org"]);
    let fingerprint = world.folder.fingerprint(&pinned);
    let only = TlsConfig { allow: vec![fingerprint], ..open };
    accepted(&world, only.clone(), Some(&pinned), "tcp/web9.example.org").await;
    let other = world.folder.self_signed("other", &["subjectAltName=DNS:web9.example.org"]);
    refused(&world, only.clone(), Some(&other), 0, HandshakeFault::NotAllowed).await;
    refused(&world, only.clone(), Some(&pinned), 3_651 * DAY_MS, HandshakeFault::Expired).await;
    refused(&world, only.clone(), Some(&pinned), -DAY_MS, HandshakeFault::NotYetValid).await;
    refused(&world, only, None, 0, HandshakeFault::NoCertificate).await;
}

#[tokio::test]
async fn refused_and_counted_by_reason() {
    use HandshakeFault as Fault;
    let world = World::new();
    let folder = &world.folder;
    let strangers = folder.authority("strangers-ca");
    let elsewhere = Folder::new();
    let namesake = elsewhere.client(&elsewhere.authority("clients-ca"), "web1.example.org");
    let own = "subjectAltName=DNS:web1.example.org";
    let foreign = folder.signed(&strangers, "foreign", &format!("{own}\n{CLIENT}"));
    let self_signed = folder.self_signed("self-signed", &[own, "basicConstraints=critical,CA:FALSE"]);
    let authority = folder.self_signed("self-signed-ca", &[own]);
    let nameless = folder.signed(&world.clients, "nameless", CLIENT);
    let other = folder.client(&world.clients, "web2.example.org");
    let of_server =
        folder.signed(&world.clients, "of-server", &format!("{own}\nextendedKeyUsage=serverAuth\n"));
    let good = folder.client(&world.clients, "web1.example.org");
    let not_this = folder.fingerprint(&good);

    let all = || world.tls(&["web1.example.org"]);
    refused(&world, all(), None, 0, Fault::NoCertificate).await;
    refused(&world, all(), Some(&foreign), 0, Fault::UnknownCa).await;
    refused(&world, all(), Some(&namesake), 0, Fault::UnknownCa).await;
    refused(&world, all(), Some(&self_signed), 0, Fault::UnknownCa).await;
    refused(&world, all(), Some(&authority), 0, Fault::BadCertificate).await;
    refused(&world, all(), Some(&nameless), 0, Fault::NotAllowed).await;
    refused(&world, all(), Some(&other), 0, Fault::NotAllowed).await;
    refused(&world, all(), Some(&of_server), 0, Fault::WrongPurpose).await;
    refused(&world, world.tls(&[&not_this]), Some(&other), 0, Fault::NotAllowed).await;
    refused(&world, all(), Some(&good), 31 * DAY_MS, Fault::Expired).await;
    refused(&world, all(), Some(&good), -DAY_MS, Fault::NotYetValid).await;
    // A listed fingerprint does not stand in for the authority.
    let listed = folder.fingerprint(&self_signed);
    refused(&world, world.tls(&[&listed]), Some(&self_signed), 0, Fault::UnknownCa).await;
}

/// What `openssl s_client` with these options brings about.
async fn s_client(world: &World, tls: TlsConfig, options: &[&str], fault: HandshakeFault) {
    let client = async |address: SocketAddr, _| {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = world.folder.0.clone();
        let run = move || {
            let mut command = Command::new("openssl");
            command.args(["s_client", "-connect", &address.to_string(), "-quiet"]).args(options);
            command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap();
    };
    let (got, ledger) = with_client(node_at(0), tls, client).await;
    assert_eq!(got, []);
    assert_counted(&ledger, fault);
}

#[tokio::test]
async fn senders_of_another_age_are_told_apart() {
    let world = World::new();
    let old = world.folder.signed(&world.clients, "old", "");
    let text = openssl(&world.folder.0, &["x509", "-noout", "-text", "-in", "old.crt"]);
    assert!(text.contains("Version: 1 (0x0)"), "{text}");
    let shows = |identity: &Identity| {
        ["-cert".to_owned(), path(&identity.certificate), "-key".to_owned(), path(&identity.key)]
    };
    let v1 = shows(&old);
    let v1: Vec<&str> = v1.iter().map(String::as_str).collect();
    for version in ["-tls1_3", "-tls1_2"] {
        s_client(&world, world.tls(&[]), &[v1.as_slice(), &[version]].concat(), HandshakeFault::X509V1).await;
    }
    let pinned = TlsConfig { client_ca: None, ..world.tls(&[&world.folder.fingerprint(&old)]) };
    s_client(&world, pinned, &v1, HandshakeFault::X509V1).await;
    let anonymous = ["-tls1_2", "-cipher", "ADH-AES256-GCM-SHA384:@SECLEVEL=0"];
    s_client(&world, world.tls(&[]), &anonymous, HandshakeFault::NoCipher).await;
    let ancient = ["-tls1", "-cipher", "ALL:@SECLEVEL=0"];
    s_client(&world, world.tls(&[]), &ancient, HandshakeFault::ProtocolVersion).await;
    // This client does not know the authority of our certificate.
    let strict = ["-verify_return_error", "-CAfile", "clients-ca.crt"];
    s_client(&world, world.tls(&[]), &strict, HandshakeFault::RefusedByPeer).await;
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn who_speaks_no_tls_is_counted() {
    let world = World::new();
    let plain = async |address, _| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&line("in the clear")).await.unwrap();
        // An alert comes, then the end.
        stream.read_to_end(&mut Vec::new()).await.ok();
    };
    let (got, ledger) = with_client(node_at(0), world.tls(&[]), plain).await;
    assert_eq!(got, []);
    assert_counted(&ledger, HandshakeFault::NotTls);
    let node = node_at(0);
    let input = TcpInput::bind(&listener(world.tls(&[])), &node.context).unwrap();
    let (address, ledger) = (input.local_addr(), input.ledger());
    let gone = async {
        drop(TcpStream::connect(address).await.unwrap());
        while ledger.snapshot().handshakes_failed(HandshakeFault::Disconnected) == 0 {
            tokio::task::yield_now().await;
        }
        node.shutdown.send(true).unwrap();
    };
    tokio::join!(serve(input), gone);
    assert_eq!(ledger.snapshot().handshakes_failed(HandshakeFault::Disconnected), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_too_long_ends() {
    let world = World::new();
    let silent = async |address, _| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the listener gave up");
    };
    let (got, ledger) = with_client(node_at(0), world.tls(&[]), silent).await;
    assert_eq!(got, []);
    assert_counted(&ledger, HandshakeFault::Timeout);
}

#[tokio::test]
async fn large_and_small_reads_over_tls() {
    let world = World::new();
    let identity = world.folder.client(&world.clients, "web1.example.org");
    let texts: Vec<String> = (0..2_000).map(|n| format!("{n} {}", "x".repeat(n % 700))).collect();
    let client = async |address, _| {
        let mut stream = world.connect(address, Some(&identity)).await.unwrap();
        for text in &texts {
            stream.write_all(&line(text)).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    };
    let (got, ledger) = with_client(node_at(0), world.tls(&[]), client).await;
    let got: Vec<&str> = got.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(got, texts);
    assert_eq!(ledger.snapshot().read_errors, 0);
}

#[tokio::test]
async fn a_stream_cut_off_within_tls_is_a_read_error_and_keeps_what_came() {
    let world = World::new();
    let identity = world.folder.client(&world.clients, "web1.example.org");
    let client = async |address, _| {
        let mut stream = world.connect(address, Some(&identity)).await.unwrap();
        stream.write_all(&line("whole")).await.unwrap();
        stream.write_all(b"<14>1 2016-07-22T18:15:00.496+08:00 web1 orders - - - ha").await.unwrap();
        stream.flush().await.unwrap();
        // The end of TCP without the end of TLS.
        let (tcp, _) = stream.get_mut();
        tcp.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    };
    let (got, ledger) = with_client(node_at(0), world.tls(&[]), client).await;
    let got: Vec<&str> = got.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(got, ["whole", "ha"]);
    let snapshot = ledger.snapshot();
    assert_eq!((snapshot.read_errors, snapshot.truncated), (1, 1), "{snapshot:?}");
}

#[tokio::test]
async fn shutdown_takes_what_the_kernel_holds() {
    let world = World::new();
    let identity = world.folder.client(&world.clients, "web1.example.org");
    let node = node_at(0);
    let input = TcpInput::bind(&listener(world.tls(&[])), &node.context).unwrap();
    let (address, ledger) = (input.local_addr(), input.ledger());
    // With nothing to borrow the connection cannot read: all of it stays in the kernel (50 KB, less than a first window).
    let all = node.inbox.lend(BUDGET, &ledger).await.unwrap();
    let texts: Vec<String> = (0..150).map(|n| format!("{n} {}", "y".repeat(270))).collect();
    let client = async {
        let mut stream = world.connect(address, Some(&identity)).await.unwrap();
        let lines: Vec<u8> = texts.iter().flat_map(|text| line(text)).collect();
        stream.write_all(&lines).await.unwrap();
        stream.flush().await.unwrap();
        arrived(stream.get_ref().0).await;
        // Its session is open, and it would read.
        while node.inbox.waits() == 0 {
            tokio::task::yield_now().await;
        }
        node.shutdown.send(true).unwrap();
        drop(all);
        // The listener says goodbye.
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    };
    tokio::join!(serve(input), client);
    assert_eq!(messages_of(&node), texts);
    assert_balanced(&ledger);
}

fn messages_of(node: &Node) -> Vec<String> {
    let mut got = Vec::new();
    while let Ok(parcel) = node.receiver.try_recv() {
        parcel.ledger().add_committed(parcel.batch.rows.len() as u64, parcel.repeated, None);
        got.extend(parcel.batch.rows.iter().map(|row| parcel.batch.text(row.message).to_owned()));
    }
    got
}

/// The certificate that a listener shows now.
async fn shown(world: &World, address: SocketAddr, identity: &Identity) -> Vec<u8> {
    let mut stream = world.connect(address, Some(identity)).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    shown
}

fn der(identity: &Identity) -> Vec<u8> {
    CertificateDer::from_pem_file(&identity.certificate).unwrap().to_vec()
}

#[tokio::test]
async fn files_are_exchanged_while_a_session_goes_on() {
    let world = World::new();
    let identity = world.folder.client(&world.clients, "web1.example.org");
    let before = der(&world.server);
    // Before the clock of the node comes to stand: a certificate is valid from when it was made.
    let renewed = world.folder.signed(&world.servers, "renewed", SERVER);
    let client = async |address, server: Arc<TlsServer>| {
        let mut old = world.connect(address, Some(&identity)).await.unwrap();
        old.write_all(&line("before")).await.unwrap();
        assert_eq!(shown(&world, address, &identity).await, before);
        let ends = server.not_after_seconds().unwrap();
        assert!((29 * DAY_MS..31 * DAY_MS).contains(&(ends * 1000 - real_now_ms())), "{ends}");

        // In the very files, as certificate managers do.
        std::fs::copy(&renewed.certificate, &world.server.certificate).unwrap();
        let half = server.prepare(None).expect_err("the key is still the old one").to_string();
        assert!(half.contains("tls.key") && half.contains("server.key"), "{half}");
        assert_eq!(shown(&world, address, &identity).await, before);
        std::fs::copy(&renewed.key, &world.server.key).unwrap();
        assert_eq!(shown(&world, address, &identity).await, before, "nothing changes by itself");
        server.install(server.prepare(None).unwrap());
        assert_eq!(shown(&world, address, &identity).await, der(&renewed));

        // This one is taken off the list: it is refused when it comes again.
        let stricter = world.tls(&["web2.example.org"]);
        server.install(server.prepare(Some(&stricter)).unwrap());
        send(&world, address, Some(&identity)).await.expect_err("no longer on the list");

        old.write_all(&line("after")).await.unwrap();
        old.shutdown().await.unwrap();
        assert_eq!(old.read(&mut [0]).await.unwrap(), 0);
    };
    let (got, ledger) = with_client(node_at(0), world.tls(&[]), client).await;
    let got: Vec<&str> = got.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(got, ["before", "after"]);
    assert_eq!(ledger.snapshot().handshakes_failed(HandshakeFault::NotAllowed), 1);
}

/// Binding fails with an error that contains all of these.
async fn unusable(tls: TlsConfig, expect: &[&str]) {
    let node = node_at(0);
    let error = TcpInput::bind(&listener(tls), &node.context).expect_err("must not start").to_string();
    for text in expect {
        assert!(error.contains(text), "{text} is not in: {error}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_their_key() {
    let world = World::new();
    let folder = &world.folder;
    let good = || world.tls(&[]);
    let missing = folder.0.join("missing.pem");
    let empty = folder.write("empty.pem", "");
    let other = folder.signed(&world.servers, "other-server", SERVER);
    let old = folder.signed(&world.servers, "old-server", "");
    openssl(&folder.0, &["pkey", "-in", "server.key", "-aes128", "-passout", "pass:x", "-out", "locked.key"]);

    let with = |certificate: &Path| TlsConfig { certificate: certificate.to_owned(), ..good() };
    unusable(with(&missing), &["input tcp", "tls.certificate", "missing.pem", "No such file"]).await;
    unusable(with(&empty), &["tls.certificate", "empty.pem", "no certificate in it"]).await;
    unusable(with(&world.server.key), &["tls.certificate", "no certificate in it"]).await;
    unusable(with(&other.certificate), &["tls.key", "server.key", "does not belong", "other-server.crt"])
        .await;
    unusable(TlsConfig { key: old.key, ..with(&old.certificate) }, &["tls.certificate", "X.509 v3"]).await;

    let with = |key: &Path| TlsConfig { key: key.to_owned(), ..good() };
    unusable(with(&missing), &["tls.key", "missing.pem", "No such file"]).await;
    unusable(with(&world.server.certificate), &["tls.key", "no private key in it"]).await;
    unusable(with(&folder.0.join("locked.key")), &["tls.key", "locked.key", "encrypted", "openssl pkey"])
        .await;

    let with = |ca: &Path| TlsConfig { client_ca: Some(ca.to_owned()), ..good() };
    unusable(with(&missing), &["tls.client_ca", "missing.pem", "No such file"]).await;
    unusable(with(&empty), &["tls.client_ca", "empty.pem", "no certificate in it"]).await;

    let none = TlsConfig { client_auth: Some(ClientAuth::None), ..good() };
    unusable(none, &["tls.client_auth", "contradicts"]).await;
    let nobody = TlsConfig { client_auth: Some(ClientAuth::Required), client_ca: None, ..good() };
    unusable(nobody, &["tls.client_auth", "needs client_ca"]).await;
    let names = TlsConfig { client_ca: None, ..world.tls(&["web1.example.org"]) };
    unusable(names, &["tls.allow", "only with client_ca"]).await;
    unusable(world.tls(&["SHA1:AB"]), &["tls.allow", "SHA1:AB", "SHA256"]).await;

    let node = node_at(0);
    let datagrams = ListenerConfig { tls: Some(good()), ..config(Protocol::Udp) };
    let error = ingest::UdpInput::bind(&datagrams, &node.context).expect_err("no TLS over UDP").to_string();
    assert!(error.contains("tls: datagrams"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_starts_but_is_not_exchanged_for() {
    let world = World::new();
    let node = node_at(31 * DAY_MS);
    let input = TcpInput::bind(&listener(world.tls(&[])), &node.context).unwrap();
    let error = input.tls().unwrap().prepare(None).expect_err("expired").to_string();
    assert!(error.contains("tls.certificate") && error.contains("expired"), "{error}");
}
