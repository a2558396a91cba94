package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairn-store/cairn"
)

func TestKeyFileGivesTheKeysBack(t *testing.T) {
	k := testKeys(t).AtEpoch(5)
	path := filepath.Join(t.TempDir(), "owner.key")
	for _, passphrase := range [][]byte{nil, []byte("correct horse")} {
		if err := k.Save(path, passphrase); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
		}
		got, err := Load(path, passphrase)
		if err != nil || got.purposes != k.purposes || got.Epoch() != 5 || got.Owner() != k.Owner() {
			t.Errorf("Load = %v, want the keys", err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range k.purposes {
		if bytes.Contains(content, k.purposes[i][:8]) {
			t.Errorf("key %d stands in a file that has a passphrase", i)
		}
	}
	for _, wrong := range [][]byte{nil, []byte("wrong")} {
		if _, err := Load(path, wrong); !errors.Is(err, cairn.Denied) {
			t.Errorf("Load with passphrase %q = %v, want Denied", wrong, err)
		}
	}
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(list) != 1 {
		t.Errorf("%d files in the directory, %v, want 1", len(list), err)
	}
}

func TestFilesOthersMayReadAreRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "owner.key")
	if err := testKeys(t).Save(path, nil); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, nil); !errors.Is(err, cairn.Denied) || cairn.HintOf(err) == "" {
			t.Errorf("Load with mode %v = %v, want Denied and a hint", mode, err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for mode, want := range map[os.FileMode]bool{0o440: true, 0o444: false, 0o660: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, nil); (err == nil) != want {
			t.Errorf("Load of a credential with mode %v = %v, want success: %v", mode, err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none"), nil); !errors.Is(err, cairn.NotFound) {
		t.Errorf("Load of nothing = %v, want NotFound", err)
	}
	if _, err := Load(dir, nil); err == nil {
		t.Error("Load of a directory succeeded")
	}
}

func TestDamagedKeyFilesAreNoticed(t *testing.T) {
	k := testKeys(t)
	open := k.encodeFile(nil)
	for i := range open {
		bad := bytes.Clone(open)
		bad[i] ^= 1
		if _, err := decodeFile(bad, nil); err == nil {
			t.Errorf("byte %d of a file without passphrase changed: no error", i)
		}
	}
	for n := range len(open) {
		if _, err := decodeFile(open[:n], nil); err == nil {
			t.Errorf("%d bytes of a file without passphrase: no error", n)
		}
	}
	passphrase := []byte("p")
	closed := k.encodeFile(passphrase)
	for _, i := range []int{0, 8, 10, fileSalt, fileCommit, fileBody, len(closed) - 1} {
		bad := bytes.Clone(closed)
		bad[i] ^= 1
		if _, err := decodeFile(bad, passphrase); err == nil {
			t.Errorf("byte %d of a file with a passphrase changed: no error", i)
		}
	}
	if _, err := decodeFile(closed[:len(closed)-1], passphrase); !errors.Is(err, cairn.Corrupt) {
		t.Errorf("a cut file = %v, want Corrupt", err)
	}
}

// TestAKeyFileCannotAskForTheWholeMachine checks that costs are bounded before
// they are paid.
func TestAKeyFileCannotAskForTheWholeMachine(t *testing.T) {
	passphrase := []byte("p")
	closed := testKeys(t).encodeFile(passphrase)
	for name, change := range map[string]func(b []byte){
		"memory":    func(b []byte) { binary.LittleEndian.PutUint32(b[16:], 1<<31) },
		"passes":    func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 1<<31) },
		"no passes": func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 0) },
		"no lanes":  func(b []byte) { b[11] = 0 },
		"lanes":     func(b []byte) { b[11] = 255 },
	} {
		bad := bytes.Clone(closed)
		change(bad)
		if _, err := decodeFile(bad, passphrase); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}
