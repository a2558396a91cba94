package transport

import (
	"errors"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/storagenode/nodeapi"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func TestClientTalksToTheNodeItDialledOrToNobody(t *testing.T) {
	a, b := newHost(t, Config{}, nil), newHost(t, Config{}, nil)
	c := NewChannel(a.id(), []string{b.addr}, nil, ChannelConfig{})
	defer c.Close()
	if _, err := c.Info(t.Context()); !errors.Is(err, cairn.Denied) {
		t.Errorf("Info of one node at another's address = %v, want Denied", err)
	}
	c.SetAddrs([]string{b.addr, a.addr})
	if i, err := c.Info(t.Context()); err != nil || i.Node != a.id() {
		t.Errorf("Info with one right address = %v, %v, want node %v", i.Node, err, a.id())
	}
}

// session signs a session for a channel binding.
func session(o *storetest.Owner, binding []byte) *cairn.Authorization {
	a := o.Sign(cairn.VerbSession, cairn.SessionSubject(binding))
	return &a
}

func TestForgedSessionsAreDenied(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	expired := storetest.NewOwner(h.id(), 1)
	expired.Expires = time.Now().Add(-time.Minute)
	elsewhere := storetest.NewOwner(cairn.NodeID{1}, 1)
	recorded := session(owner, h.link(t).link.Binding()) // what another connection showed
	for name, auth := range map[string]func(binding []byte) *cairn.Authorization{
		"replayed on another connection": func([]byte) *cairn.Authorization { return recorded },
		"expired":                        func(b []byte) *cairn.Authorization { return session(expired, b) },
		"for another node":               func(b []byte) *cairn.Authorization { return session(elsewhere, b) },
		"with another verb": func(b []byte) *cairn.Authorization {
			a := owner.Sign(cairn.VerbDelete, cairn.SessionSubject(b))
			return &a
		},
		"with a changed signature": func(b []byte) *cairn.Authorization {
			a := session(owner, b)
			a.Signature[9] ^= 1
			return a
		},
		"with another's key": func(b []byte) *cairn.Authorization {
			a := session(owner, b)
			a.OwnerKey = session(storetest.NewOwner(h.id(), 2), b).OwnerKey
			return a
		},
	} {
		w := h.link(t)
		typ, body := w.hello(t, auth(w.link.Binding()))
		wantError(t, name, typ, body, cairn.Denied)
		wantClosed(t, name, w)
	}
	w := h.link(t)
	if typ, body := w.hello(t, session(owner, w.link.Binding())); typ != nodeapi.TypeWelcome {
		t.Errorf("an honest session is answered by %v %q, want a welcome", typ, body)
	}
}

func TestChannelReportsADeniedSession(t *testing.T) {
	h := newHost(t, Config{}, nil)
	late := func() time.Time { return time.Now().Add(-3 * time.Hour) } // a clock far behind
	c := h.channel(t, storetest.NewOwner(h.id(), 1), ChannelConfig{Now: late})
	_, err := c.List(t.Context(), cairn.ShardID{}, 1)
	if !errors.Is(err, cairn.Denied) || cairn.HintOf(err) == "" {
		t.Errorf("List with a clock three hours behind = %v (hint %q), want Denied with a hint", err, cairn.HintOf(err))
	}
}

func TestSessionsEndWhenTheyExpire(t *testing.T) {
	now := time.Now()
	clock := make(chan time.Time, 1)
	clock <- now
	h := newHost(t, Config{Now: func() time.Time { v := <-clock; clock <- v; return v }}, nil)
	c := h.channel(t, storetest.NewOwner(h.id(), 1), ChannelConfig{})
	if _, err := c.List(t.Context(), cairn.ShardID{}, 1); err != nil {
		t.Fatal(err)
	}
	<-clock
	clock <- now.Add(2 * time.Hour)
	if _, err := c.List(t.Context(), cairn.ShardID{}, 1); !errors.Is(err, cairn.Denied) {
		t.Errorf("List two hours into a session of 40 minutes = %v, want Denied", err)
	}
}

func TestNodesCannotLinkConnectionsByTheirKeys(t *testing.T) {
	h := newHost(t, Config{}, nil)
	a, b := h.link(t), h.link(t)
	if string(a.link.Binding()) == string(b.link.Binding()) {
		t.Error("two connections share their channel binding")
	}
	if len(a.link.Binding()) != bindingSize {
		t.Errorf("the binding has %d bytes, want %d", len(a.link.Binding()), bindingSize)
	}
}

// TestNonsenseEndsTheConnectionAndNothingElse sends what the protocol forbids
// at each place it may stand.
func TestNonsenseEndsTheConnectionAndNothingElse(t *testing.T) {
	h := newHost(t, Config{}, nil)
	owner := storetest.NewOwner(h.id(), 1)
	r := owner.Record(1, 1000, 10)
	put := owner.Put(r)
	msg := func(typ nodeapi.MessageType, number uint16, body []byte) []byte {
		return append(nodeapi.MessageHeader{Length: len(body), Type: typ, Number: number}.Append(nil), body...)
	}
	join := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	start := msg(nodeapi.TypePut, 1, put.Append(nil))
	for name, c := range map[string]struct {
		bytes    []byte
		answered bool // with an Invalid error before the close
	}{
		"unknown type":        {[]byte{0, 0, 0, 0, 0x77, 0, 1, 0}, true},
		"unknown flags":       {[]byte{0, 0, 0, 0, byte(nodeapi.TypeInfo), 4, 1, 0}, true},
		"oversized message":   {[]byte{0xff, 0xff, 0xff, 0x7f, byte(nodeapi.TypeTails), 0, 1, 0}, true},
		"reply from a client": {msg(nodeapi.TypeReply, 1, nil), true},
		"second hello":        {msg(nodeapi.TypeHello, 1, nodeapi.Hello{Oldest: 1, Newest: 1}.Append(nil)), true},
		"payload of nothing":  {join(start, msg(nodeapi.TypePayload, 1, nil)), true},
		"too much payload":    {join(start, msg(nodeapi.TypePayload, 1, make([]byte, 1001))), true},
		"a read in an upload": {join(start, msg(nodeapi.TypeRead, 1, nodeapi.ReadRequest{}.Append(nil))), true},
		"another's payload":   {join(start, msg(nodeapi.TypePayload, 2, make([]byte, 10))), true},
		"http":                {[]byte("GET / HTTP/1.1\r\nHost: node\r\n\r\n"), true},
	} {
		w := h.link(t)
		if typ, _ := w.hello(t, session(owner, w.link.Binding())); typ != nodeapi.TypeWelcome {
			t.Fatalf("%s: no welcome but %v", name, typ)
		}
		if _, err := w.link.Write(c.bytes); err != nil {
			t.Fatal(err)
		}
		if err := w.link.Flush(); err != nil {
			t.Fatal(err)
		}
		if c.answered {
			typ, body := w.message(t)
			wantError(t, name, typ, body, cairn.Invalid)
		}
		wantClosed(t, name, w)
	}
	ch := h.channel(t, owner, ChannelConfig{})
	if i, err := ch.Info(t.Context()); err != nil || i.Uploads != 0 {
		t.Errorf("Info after all that = %d uploads open, %v; want none", i.Uploads, err)
	}
}

// TestMalformedRequestsAreAnswered sends bodies that do not parse in messages
// that do: the connection goes on.
func TestMalformedRequestsAreAnswered(t *testing.T) {
	h := newHost(t, Config{}, nil)
	w := h.link(t)
	w.hello(t, nil)
	for _, typ := range []nodeapi.MessageType{nodeapi.TypePutRecord, nodeapi.TypeRead, nodeapi.TypeTails, nodeapi.TypeList, nodeapi.TypeDelete} {
		if err := w.send(typ, 7, append(w.begin(), 1, 2, 3)); err != nil {
			t.Fatal(err)
		}
		got, body := w.message(t)
		wantError(t, typ.String(), got, body, cairn.Invalid)
	}
	if err := w.send(nodeapi.TypePut, 8, append(w.begin(), 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	got, body := w.message(t)
	wantError(t, "put", got, body, cairn.Invalid)
	if err := w.send(nodeapi.TypeAbort, 8, w.begin()); err != nil {
		t.Fatal(err)
	}
	if err := w.send(nodeapi.TypeInfo, 9, w.begin()); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.message(t); got != nodeapi.TypeReply {
		t.Errorf("Info after malformed requests is answered by %v, want a reply", got)
	}
}

func TestTooNewAClientIsToldSo(t *testing.T) {
	h := newHost(t, Config{}, nil)
	w := h.link(t)
	hello := nodeapi.Hello{Oldest: 2, Newest: 3}
	if err := w.send(nodeapi.TypeHello, 0, hello.Append(w.begin())); err != nil {
		t.Fatal(err)
	}
	typ, body := w.message(t)
	wantError(t, "hello of version 2 to 3", typ, body, cairn.Invalid)
	wantClosed(t, "hello of version 2 to 3", w)
}
