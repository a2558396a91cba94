package form_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cairn-store/cairn/gateway/form"
)

const contentType = "multipart/form-data; boundary=--x-y"

// body makes a form with a file; end is what comes after the file.
func body(file, end string) string {
	return "----x-y\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\nup/${filename}\r\n" +
		"----x-y\r\ncontent-disposition: form-data; name=empty\r\nContent-Type: text/plain\r\n\r\n\r\n" +
		"----x-y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a b.txt\"\r\nContent-Type: image/png\r\n\r\n" + file + end
}

const plainEnd = "\r\n----x-y--\r\n"

func read(s string, src io.Reader) (r *form.Reader, data string, size int64, err error) {
	if r, err = form.NewReader(src, int64(len(s)), contentType); err != nil {
		return nil, "", 0, err
	}
	f, size, err := r.File()
	if err != nil {
		return r, "", 0, err
	}
	b, err := io.ReadAll(f)
	return r, string(b), size, err
}

func text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "\r\n-xy"[(i*7+i/11)%5]
	}
	return strings.ReplaceAll(string(b), "\r\n----x-y", "\r\n----x y")
}

func TestFieldsAndFileAreRead(t *testing.T) {
	for _, size := range []int{0, 1, 1000, form.MaxBuffered - 20, form.MaxBuffered, form.MaxBuffered + 1, form.MaxBuffered + 100_003} {
		file := text(size)
		ends := []string{plainEnd}
		if size <= form.MaxBuffered-100 {
			ends = append(ends, "\r\n----x-y--", "\r\n----x-y\r\nContent-Disposition: form-data; name=submit\r\n\r\nUpload\r\n----x-y--\r\n", "\r\n----x-y--\r\nepilogue")
		}
		for _, end := range ends {
			s := body(file, end)
			for _, src := range []io.Reader{strings.NewReader(s), iotest.DataErrReader(strings.NewReader(s)), iotest.HalfReader(strings.NewReader(s))} {
				r, got, n, err := read(s, src)
				if err != nil || got != file || n != int64(size) {
					t.Fatalf("file of %d bytes before %q: %d bytes, said %d, %v", size, end, len(got), n, err)
				}
				if r.Filename != "a b.txt" || r.Fields["key"] != "up/${filename}" || len(r.Fields) != 2 {
					t.Errorf("fields %q, filename %q", r.Fields, r.Filename)
				}
			}
		}
	}
}

func TestLargeFormsMustEndWithTheFile(t *testing.T) {
	file := text(form.MaxBuffered + 50_000)
	for name, s := range map[string]string{
		"field behind the file": body(file, "\r\n----x-y\r\nContent-Disposition: form-data; name=submit\r\n\r\nUpload"+plainEnd),
		"no last line break":    body(file, "\r\n----x-y--"),
		"epilogue":              body(file, plainEnd+"more"),
		"no end":                body(file, ""),
		"boundary first":        body("----x-y"+file, plainEnd),
		"boundary in the file":  body(file[:100]+"\r\n----x-y"+file[100:], plainEnd),
		"second file":           body(file, "\r\n----x-y\r\nContent-Disposition: form-data; name=file\r\n\r\n"+file+plainEnd),
	} {
		for _, src := range []io.Reader{strings.NewReader(s), iotest.HalfReader(strings.NewReader(s))} {
			_, got, n, err := read(s, src)
			var e *form.Error
			if !errors.As(err, &e) || int64(len(got)) >= n {
				t.Errorf("%s: %d of %d bytes and %v, want an error before the last byte", name, len(got), n, err)
			}
		}
	}
	// A body that breaks is not a wrong form.
	broken := errors.New("broken")
	s := body(file, plainEnd)
	if _, _, _, err := read(s, io.MultiReader(strings.NewReader(s[:len(s)-5]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("broken connection: %v", err)
	}
}

func TestMalformedFormsAreRefused(t *testing.T) {
	whole := body("data", plainEnd)
	for name, c := range map[string]struct{ s, code string }{
		"empty":               {"", "MalformedPOSTRequest"},
		"other boundary":      {strings.ReplaceAll(whole, "x-y", "y-x"), "MalformedPOSTRequest"},
		"cut in fields":       {whole[:60], "MalformedPOSTRequest"},
		"no end":              {body("data", ""), "MalformedPOSTRequest"},
		"no disposition":      {strings.Replace(whole, "Content-Disposition", "Content-Nothing", 1), "MalformedPOSTRequest"},
		"boundary as a value": {strings.Replace(whole, "up/${filename}", "----x-y", 1), "MalformedPOSTRequest"},
		"boundary as a file":  {body("----x-y", plainEnd), "MalformedPOSTRequest"},
		"half line break":     {strings.Replace(whole, "name=empty\r\n", "name=empty \n\r\n", 1), "MalformedPOSTRequest"},
		"no name":             {strings.Replace(whole, "name=\"Key\"", "nam=\"Key\"", 1), "MalformedPOSTRequest"},
		"not UTF-8":           {strings.Replace(whole, "up/", "\xff/", 1), "MalformedPOSTRequest"},
		"field twice":         {strings.Replace(whole, "name=empty", "name=KEY", 1), "InvalidArgument"},
		"no file":             {"----x-y\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n----x-y--\r\n", "IncorrectNumberOfFilesInPostRequest"},
		"too many fields":     {strings.Replace(whole, "up/", strings.Repeat("u", form.MaxFields), 1), "MaxPostPreDataLengthExceededError"},
	} {
		_, _, _, err := read(c.s, strings.NewReader(c.s))
		var e *form.Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	for _, kind := range []string{"", "text/plain", "multipart/form-data", "multipart/mixed; boundary=a", "multipart/form-data; boundary=" + strings.Repeat("b", 71)} {
		if form.IsForm(kind) {
			t.Errorf("IsForm(%q)", kind)
		}
	}
}

func policy(t *testing.T, doc string) (*form.Policy, error) {
	t.Helper()
	return form.ParsePolicy(base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(doc, "'", `"`))))
}

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func TestPolicyAllowsWhatItSaysAndNothingElse(t *testing.T) {
	p, err := policy(t, `{'expiration': '2030-01-01T12:00:01.000Z', 'conditions': [{'bucket': 'b'}, ['starts-with', '$Key', 'user/'], ['eq', '$acl', 'private'],
		['starts-with', '$x-amz-meta-any', ''], ['content-length-range', 10, '20'], ['content-length-range', 5, 18], {'x-amz-date': 'd', 'x-amz-algorithm': 'a'}]}`)
	if err != nil {
		t.Fatal(err)
	}
	fields := func(change ...string) map[string]string {
		m := map[string]string{"bucket": "b", "key": "user/x", "acl": "private", "x-amz-meta-any": "thing", "x-amz-date": "d", "x-amz-algorithm": "a",
			"policy": "p", "x-amz-signature": "s", "x-ignore-me": "1"}
		for i := 0; i < len(change); i += 2 {
			m[change[i]] = change[i+1]
		}
		return m
	}
	if err := p.Check(fields(), noon); err != nil {
		t.Errorf("fields that fit: %v", err)
	}
	for name, m := range map[string]map[string]string{"bucket": fields("bucket", "c"), "key": fields("key", "use/x"), "acl": fields("acl", "public-read"),
		"extra": fields("x-amz-meta-other", ""), "extra header": fields("content-type", "x"), "missing": {"bucket": "b"}} {
		var e *form.Error
		if err := p.Check(m, noon); !errors.As(err, &e) || e.Code != "AccessDenied" {
			t.Errorf("%s: %v, want AccessDenied", name, err)
		}
	}
	if err := p.Check(fields(), noon.Add(time.Second)); err == nil {
		t.Error("an expired policy still allows")
	}
	for n, code := range map[int64]string{9: "EntityTooSmall", 10: "", 18: "", 19: "EntityTooLarge"} {
		var e *form.Error
		if err := p.CheckSize(n); code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code) {
			t.Errorf("CheckSize(%d) = %v, want %q", n, err, code)
		}
	}
}

func TestInvalidPoliciesAreRefused(t *testing.T) {
	for _, doc := range []string{"", "[]", "{}", `{'expiration': 'tomorrow', 'conditions': []}`, `{'expiration': '2030-01-01T12:00:00Z'}`} {
		if _, err := policy(t, doc); err == nil {
			t.Errorf("ParsePolicy(%s) succeeds", doc)
		}
	}
	for _, c := range []string{"1", "{}", "[]", "{'a': 1}", "['eq', 'key', 'a']", "['eq', '$', 'a']", "['ends-with', '$key', 'a']", "['eq', '$key']", "['eq', '$key', 1]",
		"['content-length-range', -1, 5]", "['content-length-range', 6, 5]", "['content-length-range', 1.5, 5]", "['content-length-range', 'x', 5]", "['content-length-range', 1, 1e30]"} {
		if _, err := policy(t, `{'expiration': '2030-01-01T12:00:00Z', 'conditions': [`+c+`]}`); err == nil {
			t.Errorf("condition %s is accepted", c)
		}
	}
	if _, err := form.ParsePolicy("?"); err == nil {
		t.Error("what is not base64 is accepted")
	}
}

// The twin is mime/multipart of the standard library.
func FuzzReaderEqualsMultipart(f *testing.F) {
	for _, end := range []string{plainEnd, "\r\n----x-y--", "\r\n----x-y\r\nContent-Disposition: form-data; name=s\r\n\r\nv" + plainEnd} {
		f.Add([]byte(body("data\r\n--\r\n----x", end)))
	}
	f.Add([]byte("\r\n" + body("", plainEnd)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, got, size, err := read(string(data), iotest.HalfReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		if int64(len(got)) != size {
			t.Errorf("%d bytes, said %d", len(got), size)
		}
		twin := multipart.NewReader(bytes.NewReader(data), "--x-y")
		for {
			part, err := twin.NextRawPart()
			if err != nil {
				return // stricter than we are
			}
			content, err := io.ReadAll(part)
			if err != nil {
				return
			}
			name := strings.ToLower(part.FormName())
			if name == "file" {
				if string(content) != got {
					t.Errorf("file %q, the standard library reads %q", got, content)
				}
				return
			}
			if value, ok := r.Fields[name]; ok && value != string(content) {
				t.Errorf("field %q is %q, the standard library reads %q", name, value, content)
			}
		}
	})
}

func TestRandomLargeFilesComeBackWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 5 {
		file := text(form.MaxBuffered + rnd.IntN(300_000))
		s := body(file, plainEnd)
		r, err := form.NewReader(strings.NewReader(s), int64(len(s)), contentType)
		if err != nil {
			t.Fatal(err)
		}
		src, _, err := r.File()
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			p := make([]byte, 1+rnd.IntN(5000))
			n, err := src.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != file {
			t.Errorf("%d bytes came back as %d others", len(file), len(got))
		}
	}
}
