//! What a condition says, before it is known whether its fields exist and its types agree.

use record::Decimal;

/// An expression and the byte of the condition's text at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) kind: ExprKind,
}

/// Shapes of expressions.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExprKind {
    /// `"text"`.
    String(String),
    /// `1.50`, with its text.
    Number(Decimal, String),
    /// `5m`, in milliseconds.
    Duration(i64),
    /// `true`.
    Bool(bool),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// A field's name.
    Field(String),
    /// `name(args)`, and `receiver.name(args)` with the receiver as first argument.
    Call {
        name: String,
        args: Vec<Expr>,
    },
    Not(Box<Expr>),
    /// Two or more.
    And(Vec<Expr>),
    /// Two or more.
    Or(Vec<Expr>),
    Compare {
        op: CompareOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    In {
        left: Box<Expr>,
        right: Box<Expr>,
    },
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl CompareOp {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [
        CompareOp::Equal,
        CompareOp::NotEqual,
        CompareOp::Less,
        CompareOp::LessEqual,
        CompareOp::Greater,
        CompareOp::GreaterEqual,
    ];

    /// The operator that means the same with its sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            CompareOp::Less => CompareOp::Greater,
            CompareOp::LessEqual => CompareOp::GreaterEqual,
            CompareOp::Greater => CompareOp::Less,
            CompareOp::GreaterEqual => CompareOp::LessEqual,
            same => same,
        }
    }

    /// As written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            CompareOp::Equal => "==",
            CompareOp::NotEqual => "!=",
            CompareOp::Less => "<",
            CompareOp::LessEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterEqual => ">=",
        }
    }
}
