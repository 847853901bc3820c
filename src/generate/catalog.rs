//! The platform that the traffic pretends to come from: modules, channels, merchants, codes, and the steps of an order.
//!
//! Refuses to know: time, chance, bytes on a wire.

/// A module of the platform: what prints a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Module {
    /// Column `module`.
    pub(crate) name: &'static str,
    /// APP-NAME or TAG in a syslog header.
    pub(crate) program: &'static str,
    /// HOSTNAME in a syslog header, without the number of the instance.
    pub(crate) host: &'static str,
    /// Column `thread` up to the thread's number.
    pub(crate) thread: &'static str,
    /// Column `host_ip` up to the last number.
    pub(crate) host_ip: &'static str,
}

const fn module(
    name: &'static str,
    program: &'static str,
    host: &'static str,
    thread: &'static str,
    host_ip: &'static str,
) -> Module {
    Module { name, program, host, thread, host_ip }
}

/// The 12 modules.
pub(crate) const MODULES: [Module; 12] = [
    module("网关", "gateway", "pay-gw-0", "||http-nio-8080-exec-", "10.100.140.10"),
    module("收银台", "cashier", "pay-cs-0", "||http-nio-8081-exec-", "10.100.140.11"),
    module("订单服务", "order", "pay-od-0", "||DubboServerHandler-thread-", "10.100.140.12"),
    module("会员", "member", "pay-mb-0", "||DubboServerHandler-thread-", "10.100.140.13"),
    module("营销", "promotion", "pay-pm-0", "||DubboServerHandler-thread-", "10.100.140.14"),
    module("风控", "risk", "pay-rk-0", "||pool-21-thread-", "10.100.141.10"),
    module("路由", "router", "pay-rt-0", "||pool-34-thread-", "10.100.141.11"),
    module("支付核心", "paycore", "pay-pc-0", "||pool-52-thread-", "10.100.141.12"),
    module("通道适配器", "adapter", "pay-ad-0", "||pool-73-thread-", "10.100.142.10"),
    module("账务", "ledger", "pay-lg-0", "||pool-11-thread-", "10.100.142.11"),
    module("清算", "clearing", "pay-cl-0", "||pool-15-thread-", "10.100.142.12"),
    module("通知", "notify", "pay-nt-0", "||pool-90-thread-", "10.100.142.13"),
];

const GATEWAY: usize = 0;
const CASHIER: usize = 1;
const ORDER: usize = 2;
const MEMBER: usize = 3;
const PROMOTION: usize = 4;
const RISK: usize = 5;
const ROUTER: usize = 6;
const PAYCORE: usize = 7;
const ADAPTER: usize = 8;
const LEDGER: usize = 9;
const CLEARING: usize = 10;
const NOTIFY: usize = 11;

/// The 30 channels (third parties that move the money), busiest first.
pub(crate) const CHANNELS: [&str; 30] = [
    "GHT", "UMP", "ALI", "WXP", "CUP", "ICBC", "CCB", "ABC", "BOC", "CMB", "BCM", "CIB", "SPDB", "CMBC",
    "CEB", "PAB", "HXB", "CGB", "PSBC", "CITIC", "BOB", "BOS", "NJCB", "HZB", "YEE", "LKL", "SDP", "HFT",
    "BAO", "TLT",
];

/// How many merchants there are; their numbers are `0000101` and on.
pub(crate) const MERCHANTS: u32 = 200;

/// Response code and message of a channel that refuses a payment for a reason of business.
pub(crate) const REFUSALS: [(&str, &str); 8] = [
    ("1004", "余额不足"),
    ("1017", "卡状态异常"),
    ("1021", "超出单笔限额"),
    ("1022", "超出单日限额"),
    ("1033", "短信验证码错误"),
    ("1035", "持卡人信息不符"),
    ("1040", "交易风险过高，发卡行拒绝"),
    ("1051", "订单重复"),
];

/// Response code and message when a channel cannot be reached.
pub(crate) const NETWORK_ERRORS: [(&str, &str); 2] =
    [("NET_ERR", "网络异常，连接被对方重置"), ("TIMEOUT", "应答超时，等待渠道确认")];

/// Test card numbers as the card schemes publish them: all pass the check digit.
pub(crate) const TEST_CARDS: [&str; 6] = [
    "4111111111111111",
    "5555555555554444",
    "6011111111111117",
    "378282246310005",
    "4012 8888 8888 1881",
    "5105-1051-0510-5100",
];

/// Family names, for masked payer names.
pub(crate) const FAMILY_NAMES: [&str; 16] =
    ["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林"];

/// Bank codes and the first six digits of their cards.
pub(crate) const BANKS: [(&str, &str); 10] = [
    ("0102", "622202"),
    ("0103", "622848"),
    ("0104", "621661"),
    ("0105", "621700"),
    ("0301", "622262"),
    ("0302", "622690"),
    ("0303", "622666"),
    ("0305", "622622"),
    ("0308", "622588"),
    ("0403", "622188"),
];

/// Lines of other formats that a platform's log also holds.
pub(crate) const PLAIN_TEXTS: [&str; 6] = [
    "连接池使用率 62%，活动连接 31，空闲连接 19",
    "配置中心推送：路由权重已更新，版本 20260105-3",
    "定时任务 SettleFileJob 执行完成，耗时 812 ms",
    "GC pause (G1 Evacuation Pause) (young) 14.2 ms",
    "缓存预热完成，共 18204 条",
    "会话清理完成，过期会话 57 个",
];

/// What a line says of the order's outcome so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    /// Before the channel answered: no response code.
    Opened,
    /// Sent, not answered: no response code.
    Waiting,
    /// The channel's own answer, as the order's fate has it.
    Answer,
    /// The channel answers that it has not decided: `9000`.
    Pending,
    /// The channel cannot be reached: the one line of a failing call that carries `NET_ERR` or `TIMEOUT`.
    Unreachable,
    /// The answer as the modules behind the adapter repeat it.
    Outcome,
}

/// How far the order's instants and names are known at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// No channel chosen.
    Unrouted,
    /// Channel chosen.
    Routed,
    /// Sent to the third party.
    Sent,
    /// Answered by it.
    Replied,
    /// Booked.
    Settled,
}

/// One step of an order: one line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Which module prints it.
    pub(crate) module: usize,
    /// Column `step` behind the module's name.
    pub(crate) name: &'static str,
    /// Column `interface`.
    pub(crate) interface: &'static str,
    /// Column `operation`.
    pub(crate) operation: &'static str,
    /// What is said of the outcome.
    pub(crate) say: Say,
    /// What is known.
    pub(crate) reach: Reach,
    /// Least time since the step before, milliseconds.
    pub(crate) delay_ms: u32,
    /// Added at random to it, milliseconds.
    pub(crate) spread_ms: u32,
    /// The time of the channel itself is added.
    pub(crate) channel_time: bool,
}

const fn step(
    module: usize,
    name: &'static str,
    interface: &'static str,
    delay_ms: u32,
    spread_ms: u32,
) -> Step {
    Step {
        module,
        name,
        interface,
        operation: "O001",
        say: Say::Opened,
        reach: Reach::Unrouted,
        delay_ms,
        spread_ms,
        channel_time: false,
    }
}

const fn at(reach: Reach, say: Say, step: Step) -> Step {
    Step { reach, say, ..step }
}

const fn from_channel(say: Say, name: &'static str, interface: &'static str, delay_ms: u32) -> Step {
    let inner = step(ADAPTER, name, interface, delay_ms, 30);
    Step { channel_time: true, reach: Reach::Replied, say, operation: "O003", ..inner }
}

/// From the first request to the line before the channel's answer.
pub(crate) const HEAD: [Step; 19] = [
    step(GATEWAY, "接收请求", "gatewayPay", 0, 1),
    step(GATEWAY, "验签通过", "gatewayPay", 1, 4),
    step(CASHIER, "展示收银台", "cashierShow", 5, 40),
    step(CASHIER, "确认支付", "cashierConfirm", 60, 400),
    step(ORDER, "创建订单前", "orderCreate", 1, 5),
    step(ORDER, "创建订单后", "orderCreate", 4, 15),
    step(MEMBER, "查询会员前", "memberQuery", 1, 3),
    step(MEMBER, "查询会员后", "memberQuery", 2, 10),
    step(PROMOTION, "计算优惠前", "promotionCalc", 1, 3),
    step(PROMOTION, "计算优惠后", "promotionCalc", 2, 12),
    step(RISK, "规则校验前", "riskCheck", 1, 3),
    step(RISK, "规则校验后", "riskCheck", 8, 60),
    step(ROUTER, "选择通道前", "routeSelect", 1, 2),
    at(Reach::Routed, Say::Opened, step(ROUTER, "选择通道后", "routeSelect", 1, 6)),
    at(Reach::Routed, Say::Opened, step(PAYCORE, "受理支付", "payAccept", 2, 6)),
    at(Reach::Routed, Say::Opened, step(PAYCORE, "发通道前", "paySubmit", 1, 4)),
    at(Reach::Routed, Say::Opened, step(ADAPTER, "接收指令", "tunnelPay", 1, 5)),
    at(Reach::Routed, Say::Opened, step(ADAPTER, "组包签名", "tunnelPay", 1, 8)),
    at(Reach::Sent, Say::Waiting, step(ADAPTER, "发三方前", "tunnelPay", 1, 3)),
];

/// The channel answers and the order is booked.
pub(crate) const PAID: [Step; 11] = [
    from_channel(Say::Answer, "发三方后", "tunnelPay", 20),
    at(Reach::Replied, Say::Outcome, step(ADAPTER, "解析应答", "tunnelPay", 1, 3)),
    at(Reach::Replied, Say::Outcome, step(PAYCORE, "收通道应答", "paySubmit", 1, 4)),
    at(Reach::Replied, Say::Outcome, step(PAYCORE, "更新支付状态", "payUpdate", 2, 8)),
    at(Reach::Replied, Say::Outcome, step(LEDGER, "记账前", "ledgerBook", 1, 4)),
    at(Reach::Settled, Say::Outcome, step(LEDGER, "记账后", "ledgerBook", 4, 16)),
    at(Reach::Settled, Say::Outcome, step(CLEARING, "登记清算", "clearingAdd", 2, 6)),
    at(Reach::Settled, Say::Outcome, step(ORDER, "更新订单状态", "orderUpdate", 2, 8)),
    at(Reach::Settled, Say::Outcome, step(NOTIFY, "发送商户通知前", "notifySend", 2, 10)),
    at(Reach::Settled, Say::Outcome, step(NOTIFY, "发送商户通知后", "notifySend", 15, 120)),
    at(Reach::Settled, Say::Outcome, step(GATEWAY, "返回结果", "gatewayPay", 1, 4)),
];

/// The channel refuses: nothing is booked.
pub(crate) const REFUSED: [Step; 8] = [
    from_channel(Say::Answer, "发三方后", "tunnelPay", 20),
    at(Reach::Replied, Say::Outcome, step(ADAPTER, "解析应答", "tunnelPay", 1, 3)),
    at(Reach::Replied, Say::Outcome, step(PAYCORE, "收通道应答", "paySubmit", 1, 4)),
    at(Reach::Replied, Say::Outcome, step(PAYCORE, "更新支付状态", "payUpdate", 2, 8)),
    at(Reach::Replied, Say::Outcome, step(ORDER, "更新订单状态", "orderUpdate", 2, 8)),
    at(Reach::Replied, Say::Outcome, step(NOTIFY, "发送商户通知前", "notifySend", 2, 10)),
    at(Reach::Replied, Say::Outcome, step(NOTIFY, "发送商户通知后", "notifySend", 15, 120)),
    at(Reach::Replied, Say::Outcome, step(GATEWAY, "返回结果", "gatewayPay", 1, 4)),
];

/// The channel has not decided yet; it is asked again later. `PAID` or `REFUSED` follow.
pub(crate) const PENDING: [Step; 4] = [
    from_channel(Say::Pending, "发三方后", "tunnelPay", 20),
    at(Reach::Replied, Say::Pending, step(PAYCORE, "挂起等待查询", "paySubmit", 1, 4)),
    at(Reach::Sent, Say::Waiting, step(PAYCORE, "发起查询", "payQuery", 900, 900)),
    at(Reach::Sent, Say::Waiting, step(ADAPTER, "发三方前", "tunnelQuery", 1, 6)),
];

/// The channel cannot be reached; the order is asked for later. `PAID` or `REFUSED` follow.
pub(crate) const UNREACHABLE: [Step; 4] = [
    from_channel(Say::Unreachable, "发三方后", "tunnelPay", 20),
    at(Reach::Sent, Say::Waiting, step(PAYCORE, "挂起等待查询", "paySubmit", 1, 4)),
    at(Reach::Sent, Say::Waiting, step(PAYCORE, "发起查询", "payQuery", 2_000, 1_500)),
    at(Reach::Sent, Say::Waiting, step(ADAPTER, "发三方前", "tunnelQuery", 1, 6)),
];

/// Index of a channel by its name.
pub(crate) fn channel_index(name: &str) -> Option<usize> {
    CHANNELS.iter().position(|channel| *channel == name)
}
