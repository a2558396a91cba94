package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/control"
)

type question struct{ Name string }
type answer struct{ Length int }

func serve(t *testing.T, dir string) (stop func()) {
	t.Helper()
	h := control.NewHandler()
	control.Handle(h, "measure", func(_ context.Context, q question) (answer, error) {
		if q.Name == "" {
			return answer{}, cairn.Errorf("measure", cairn.NotFound, "no name").WithHint("give one")
		}
		return answer{len(q.Name)}, nil
	})
	s := control.NewServer(dir, h)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	return func() {
		t.Helper()
		if err := errors.Join(s.Stop(context.Background()), <-ended); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

func TestAnswersErrorsAndHintsCrossTheSocket(t *testing.T) {
	dir := t.TempDir()
	defer serve(t, dir)()
	got, err := control.Call[question, answer](t.Context(), dir, "measure", question{"stone"})
	if err != nil || got.Length != 5 {
		t.Errorf("measure = %+v, %v; want 5", got, err)
	}
	_, err = control.Call[question, answer](t.Context(), dir, "measure", question{})
	if !errors.Is(err, cairn.NotFound) || cairn.HintOf(err) != "give one" {
		t.Errorf("measure nothing = %v, hint %q; want NotFound with its hint", err, cairn.HintOf(err))
	}
	if _, err := control.Call[question, answer](t.Context(), dir, "weigh", question{}); err == nil {
		t.Error("a method that does not exist answered")
	}
}

func TestSocketIsTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	stop := serve(t, dir)
	info, err := os.Stat(filepath.Join(dir, control.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v, %v; want 0600", info.Mode(), err)
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, control.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket after stop: %v, want that it is gone", err)
	}
}

func TestNobodyRunningIsUnavailableWithAHint(t *testing.T) {
	_, err := control.Call[question, answer](t.Context(), t.TempDir(), "measure", question{})
	if !errors.Is(err, cairn.Unavailable) || cairn.HintOf(err) == "" {
		t.Errorf("call to nobody = %v, hint %q; want Unavailable with a hint", err, cairn.HintOf(err))
	}
}

func TestSocketOfADeadProcessIsReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, control.SocketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, dir)()
}

func TestLongDirectoriesWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer serve(t, dir)()
	if got, err := control.Call[question, answer](t.Context(), dir, "measure", question{"stone"}); err != nil || got.Length != 5 {
		t.Errorf("measure over a long path = %+v, %v; want 5", got, err)
	}
}
