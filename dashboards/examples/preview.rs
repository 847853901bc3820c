//! The pages with made-up data, to look at them: `cargo run -p dashboards --example preview [PORT]`.

#[path = "../tests/it/stage.rs"]
mod stage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    #[expect(clippy::print_stdout, reason = "the address is what the caller waits for")]
    {
        println!("http://{}/", listener.local_addr()?);
    }
    dashboards::serve(listener, stage::deps(), std::future::pending()).await
}
