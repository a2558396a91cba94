package nodeapi

import (
	"errors"

	"github.com/cairn-store/cairn"
)

const (
	maxErrorOp       = 64
	maxErrorSentence = 1024
	maxErrorHint     = 512
	maxWireError     = 1 + 2 + maxErrorOp + 2 + maxErrorSentence + 2 + maxErrorHint
)

// AppendError appends the body of an error message to b: kind, operation,
// sentence and hint. What is not a *cairn.Error travels as its kind with op.
// The sentence of an Internal error stays at the node, in its log: it may name
// what strangers need not know.
func AppendError(b []byte, op string, err error) []byte {
	kind, sentence := cairn.KindOf(err), err.Error()
	if e, ok := err.(*cairn.Error); ok { // only the outermost: what wraps it is part of the sentence
		op, sentence = e.Op, ""
		if e.Err != nil {
			sentence = e.Err.Error()
		}
	}
	if kind == cairn.Internal {
		sentence = "the node met an internal error"
	}
	b = append(b, byte(kind))
	b = appendText(b, op, maxErrorOp)
	b = appendText(b, sentence, maxErrorSentence)
	return appendText(b, cairn.HintOf(err), maxErrorHint)
}

// ParseError reads what AppendError wrote into a *cairn.Error.
// A malformed body is an Invalid error, returned as the second value.
func ParseError(b []byte) (*cairn.Error, error) {
	d := decoder{b: b}
	e := &cairn.Error{Kind: cairn.Kind(d.u8()), Op: d.text(maxErrorOp)}
	if sentence := d.text(maxErrorSentence); sentence != "" {
		e.Err = errors.New(sentence)
	}
	e.Hint = d.text(maxErrorHint)
	if err := d.finish(TypeError); err != nil {
		return nil, err
	}
	return e, nil
}
