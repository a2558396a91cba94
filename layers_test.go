package cairn_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cairn-store/cairn"

// layers says which of our packages each package may import, tests aside. The
// first pattern that fits a package counts; every package has one. "/..."
// stands for a package and all below it, "" for the root package, which all
// may import. To change the architecture, change this table in a commit of its
// own and say why there.
var layers = []struct {
	packages string
	imports  []string
}{
	{"", nil},
	// Pure: the root and each other's plain arithmetic, nothing that acts.
	{"proofs", nil},
	{"placement", nil},
	{"placement/erasure", nil},
	{"gateway/sigv4", nil},
	{"gateway/checksum", nil},
	{"gateway/cors", nil},
	{"gateway/form", nil},
	{"gateway/policy", nil},
	{"economics/...", nil},
	{"placement/directory", []string{"placement"}},
	{"placement/...", []string{"placement/...", "proofs"}},
	// The gateway knows nothing of storage nodes: it declares what it wants.
	{"gateway/seal", []string{"internal/durable"}},
	{"gateway/catalog/...", []string{"gateway/catalog/...", "internal/durable"}},
	{"gateway/s3api", []string{"gateway", "gateway/checksum", "gateway/cors", "gateway/form", "gateway/policy", "gateway/sigv4"}},
	{"gateway/decode", []string{"gateway/seal", "placement/erasure", "proofs"}},
	{"gateway/recovery", []string{"gateway/catalog", "gateway/seal", "internal/durable", "proofs"}},
	{"gateway/...", []string{"gateway/...", "placement/...", "proofs", "internal/durable"}},
	// Storage nodes know nothing of gateways or keys of owners.
	{"storagenode/nodeapi", nil},
	{"storagenode/...", []string{"storagenode/...", "proofs", "internal/durable", "internal/faults"}},
	// Compute stands beside shards and does not know the node's insides.
	{"compute/...", []string{"compute/...", "proofs", "economics/..."}},
	{"console", nil},
	// Foundations, lowest first.
	{"internal/durable", nil},
	{"internal/faults", nil},
	{"internal/lifecycle", nil},
	{"internal/secretfile", nil},
	{"internal/cli", nil},
	{"internal/certs", []string{"internal/secretfile"}},
	{"internal/httpd", []string{"internal/lifecycle"}},
	{"internal/control", []string{"internal/httpd"}},
	{"internal/provider", []string{"storagenode/...", "placement/directory", "internal/durable", "internal/lifecycle", "internal/secretfile"}},
	// A whole network in a test process, and what only tests use, see everything
	// but commands.
	{"internal/scenario", []string{"internal/cli"}},
	{"internal/testnet", []string{"gateway/...", "storagenode/...", "placement/...", "internal/..."}},
	{"e2e/...", []string{"e2e/...", "gateway/...", "storagenode/...", "proofs"}},
	// Commands wire everything together.
	{"cmd/...", []string{"gateway/...", "storagenode/...", "placement/...", "proofs", "economics/...", "compute/...", "console", "internal/..."}},
}

// testOnly are packages that nothing but tests imports.
var testOnly = []string{
	"internal/testnet", "internal/scenario", "e2e/...", "gateway/refmodel", "gateway/s3api/apitest",
	"gateway/catalog/conformance", "storagenode/memnode", "storagenode/shardstore/storetest",
}

// homes are the packages that may import a library, tests aside. A heavy
// dependency has one home, which speaks our types outward. A library that is
// not named here must not be imported.
var homes = []struct {
	library string
	homes   []string
}{
	{"github.com/zeebo/blake3", []string{"", "proofs", "storagenode/shardstore"}},
	{"github.com/klauspost/reedsolomon", []string{"placement/erasure"}},
	{"github.com/libp2p/...", []string{"placement/directory", "storagenode/transport"}},
	{"github.com/ipfs/...", []string{"placement/directory"}},
	{"github.com/multiformats/...", []string{"placement/directory"}},
	{"github.com/cockroachdb/pebble/v2/...", []string{"storagenode/shardstore", "gateway/catalog/pebble/..."}},
	{"golang.org/x/crypto/...", []string{"gateway/seal"}},
	{"golang.org/x/text/...", []string{"gateway/seal"}},
	{"github.com/tyler-smith/go-bip39", []string{"gateway/seal"}},
	{"github.com/btcsuite/...", []string{"gateway/seal"}},
	{"github.com/minio/crc64nvme", []string{"gateway/checksum"}},
	{"github.com/spf13/...", []string{"internal/cli", "cmd/..."}},
	{"github.com/knadh/koanf/...", []string{"internal/cli"}},
	{"github.com/schollz/progressbar/v3", []string{"internal/cli"}},
	{"golang.org/x/term", []string{"internal/cli"}},
	{"github.com/prometheus/client_golang/...", []string{"gateway/...", "storagenode/...", "console", "internal/provider", "cmd/..."}},
	{"golang.org/x/sync/...", []string{"gateway/...", "storagenode/..."}},
	{"golang.org/x/sys/...", []string{"internal/durable", "storagenode/shardstore"}},
	// For tests and the packages that only tests use.
	{"github.com/minio/minio-go/v7/...", []string{"e2e/..."}},
	{"github.com/aws/...", []string{"e2e/...", "gateway/s3api/apitest"}},
	{"github.com/anishathalye/porcupine", []string{"gateway/catalog/conformance"}},
}

// goPackage is what the files of one folder import and say of themselves.
type goPackage struct {
	name        string // path below the module; "" for the root
	imports     map[string]string
	testImports map[string]string // both: import path to the file that has it
	documented  bool
	hasCode     bool // files that are not tests
}

// fits reports whether pattern stands for the package called name.
func fits(pattern, name string) bool {
	if prefix, all := strings.CutSuffix(pattern, "/..."); all {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	return name == pattern
}

func fitsAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, name) })
}

func readPackages(t *testing.T) map[string]*goPackage {
	t.Helper()
	packages := map[string]*goPackage{}
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != "." && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(base, ".go") {
			return nil
		}
		file, err := parser.ParseFile(files, name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		folder := strings.TrimPrefix(path.Dir(filepath.ToSlash(name)), ".")
		p := packages[folder]
		if p == nil {
			p = &goPackage{name: folder, imports: map[string]string{}, testImports: map[string]string{}}
			packages[folder] = p
		}
		p.add(t, file, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func (p *goPackage) add(t *testing.T, file *ast.File, name string) {
	t.Helper()
	into := p.imports
	if strings.HasSuffix(name, "_test.go") {
		into = p.testImports
	} else {
		p.hasCode = true
		p.documented = p.documented || file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != ""
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", name, spec.Path.Value, err)
		}
		into[imported] = name
	}
}

// ours returns the path of one of our packages below the module.
func ours(imported string) (name string, ok bool) {
	if imported == module {
		return "", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// isStandard reports whether an import path is of the standard library.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func TestPackagesImportOnlyWhatTheirLayerAllows(t *testing.T) {
	for _, p := range readPackages(t) {
		i := slices.IndexFunc(layers, func(l struct {
			packages string
			imports  []string
		}) bool {
			return fits(l.packages, p.name)
		})
		if i < 0 {
			t.Errorf("package %q has no place in the table of layers", p.name)
			continue
		}
		for imported, file := range p.imports {
			name, our := ours(imported)
			if our && name != "" && !fitsAny(layers[i].imports, name) {
				t.Errorf("%s imports %s, which %q may not", file, name, layers[i].packages)
			}
			if our && fitsAny(testOnly, name) && !fitsAny(testOnly, p.name) {
				t.Errorf("%s imports %s, which is for tests", file, name)
			}
		}
	}
}

// The gateway must not get to know storage nodes through its tests either,
// except through those that run a whole network.
func TestGatewayTestsKnowNoRealNode(t *testing.T) {
	allowed := []string{"storagenode/memnode", "storagenode/client", "storagenode/nodeapi"}
	for _, p := range readPackages(t) {
		if !fits("gateway/...", p.name) {
			continue
		}
		for imported, file := range p.testImports {
			if name, our := ours(imported); our && fits("storagenode/...", name) && !fitsAny(allowed, name) {
				t.Errorf("%s imports %s", file, name)
			}
		}
	}
}

func TestHeavyLibrariesStayAtHome(t *testing.T) {
	for _, p := range readPackages(t) {
		for imported, file := range p.imports {
			if _, our := ours(imported); our || isStandard(imported) {
				continue
			}
			known := false
			for _, h := range homes {
				if !fits(h.library, imported) {
					continue
				}
				known = true
				if !fitsAny(h.homes, p.name) {
					t.Errorf("%s imports %s, whose home is %q", file, imported, h.homes)
				}
				break
			}
			if !known {
				t.Errorf("%s imports %s, which has no home in the table", file, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range readPackages(t) {
		if p.hasCode && !p.documented {
			t.Errorf("package %q has no package comment", p.name)
		}
	}
}

func TestCommandsStaySmall(t *testing.T) {
	const most = 80
	for _, name := range []string{"cmd/cairn/main.go", "cmd/storagenode/main.go"} {
		files := token.NewFileSet()
		if _, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
		files.Iterate(func(f *token.File) bool {
			if f.LineCount() > most {
				t.Errorf("%s has %d lines, want at most %d: wiring goes beside it", name, f.LineCount(), most)
			}
			return true
		})
	}
}
