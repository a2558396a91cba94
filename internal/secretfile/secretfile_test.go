package secretfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/secretfile"
)

func TestCreateIsPrivateAndNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phrase.txt")
	if err := secretfile.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := secretfile.Create(path, []byte("second")); !errors.Is(err, cairn.Exists) {
		t.Errorf("second Create = %v, want Exists", err)
	}
	wantFile(t, path, "first")
	wantAlone(t, path)
}

func TestCreateLetsOneOfManyWin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = secretfile.Create(path, []byte{byte('a' + i)}) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		if err == nil && winner >= 0 {
			t.Fatalf("writers %d and %d both created the file", winner, i)
		}
		if err == nil {
			winner = i
		}
	}
	if winner < 0 {
		t.Fatalf("nobody created the file: %v", errs)
	}
	wantFile(t, path, string(rune('a'+winner)))
	wantAlone(t, path)
}

func TestReplaceNarrowsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.env")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := secretfile.Replace(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new")
	wantAlone(t, path)
}

func TestReadRefusesWhatOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { // WriteFile's mode depends on the umask
		t.Fatal(err)
	}
	_, err := secretfile.Read(path, 10)
	if !errors.Is(err, cairn.Denied) || cairn.HintOf(err) == "" {
		t.Errorf("Read of mode 0640 = %v with hint %q, want Denied with a hint", err, cairn.HintOf(err))
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if _, err := secretfile.Read(path, 10); err != nil {
		t.Errorf("Read of a credential that systemd handed in = %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if b, err := secretfile.Read(path, 10); err != nil || string(b) != "x" {
		t.Errorf("Read of mode 0400 = %q, %v", b, err)
	}
}

func TestReadIsBoundedAndNamesWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := secretfile.Read(path, 4); !errors.Is(err, cairn.NotFound) {
		t.Errorf("Read of nothing = %v, want NotFound", err)
	}
	if err := secretfile.Create(path, []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := secretfile.Read(path, 4); !errors.Is(err, cairn.Invalid) {
		t.Errorf("Read of 5 bytes, 4 allowed = %v, want Invalid", err)
	}
	if b, err := secretfile.Read(path, 5); err != nil || len(b) != 5 {
		t.Errorf("Read of 5 bytes, 5 allowed = %d bytes, %v", len(b), err)
	}
}

func TestLockAdmitsOneUser(t *testing.T) {
	dir := t.TempDir()
	unlock, err := secretfile.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secretfile.Lock(dir); !errors.Is(err, cairn.Unavailable) || cairn.HintOf(err) == "" {
		t.Errorf("second Lock = %v, hint %q; want Unavailable with a hint", err, cairn.HintOf(err))
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := secretfile.Lock(dir)
	if err != nil {
		t.Fatalf("Lock after unlock = %v", err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v; want %q", path, b, err, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %04o, want 0600", path, info.Mode().Perm())
	}
}

// wantAlone checks that no temporary file stayed behind.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("directory holds %v, want only %s", entries, filepath.Base(path))
	}
}
