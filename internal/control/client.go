package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/cairn-store/cairn"
)

// Call asks the process in dir. When none is running there, the error is
// Unavailable.
func Call[Request, Reply any](ctx context.Context, dir, name string, request Request) (Reply, error) {
	var reply Reply
	body, err := json.Marshal(request)
	if err != nil {
		return reply, fmt.Errorf("encode request %s: %w", name, err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial(ctx, dir)
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control/"+name, bytes.NewReader(body))
	if err != nil {
		return reply, fmt.Errorf("ask %s: %w", name, err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return reply, ctx.Err()
		}
		return reply, cairn.Errorf("ask the process in "+dir, cairn.Unavailable, "%w", errors.Unwrap(err)).
			WithHint("is it running, and is this its --dir?")
	}
	defer resp.Body.Close()
	return reply, readAnswer(resp, name, &reply)
}

func readAnswer(resp *http.Response, name string, reply any) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	if err != nil {
		return cairn.Errorf("read answer to "+name, cairn.Unavailable, "%w", err)
	}
	if len(b) > maxMessage {
		return cairn.Errorf("read answer to "+name, cairn.Invalid, "longer than %d bytes", maxMessage)
	}
	if resp.StatusCode == http.StatusUnprocessableEntity {
		var e wireError
		if err := json.Unmarshal(b, &e); err == nil {
			return (&cairn.Error{Op: e.Op, Kind: e.Kind, Err: errors.New(e.Message)}).WithHint(e.Hint)
		}
	}
	if resp.StatusCode != http.StatusOK {
		return cairn.Errorf("ask "+name, cairn.Internal, "the process answered %s", resp.Status).
			WithHint("are both programs of the same version?")
	}
	if err := json.Unmarshal(b, reply); err != nil {
		return fmt.Errorf("read answer to %s: %w", name, err)
	}
	return nil
}

func dial(ctx context.Context, dir string) (conn net.Conn, err error) {
	err = withShortPath(dir, func(path string) error {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}
