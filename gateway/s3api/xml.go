package s3api

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	xmlDeclaration = xml.Header
	xmlNamespace   = "http://s3.amazonaws.com/doc/2006-03-01/"
	maxDepth       = 16
	maxElements    = 120_000 // 10,000 parts with ten elements each, and some
)

// xmlWriter writes S3's documents. Unlike encoding/xml it can write the control
// characters that keys may contain.
type xmlWriter struct{ b bytes.Buffer }

func newXML() *xmlWriter {
	x := &xmlWriter{}
	x.b.WriteString(xmlDeclaration)
	return x
}

// open begins the document element.
func (x *xmlWriter) open(root string) {
	x.b.WriteString("<" + root + ` xmlns="` + xmlNamespace + `">`)
}

func (x *xmlWriter) openPlain(name string) { x.b.WriteString("<" + name + ">") }
func (x *xmlWriter) close(name string)     { x.b.WriteString("</" + name + ">") }

// elem writes an element with text.
func (x *xmlWriter) elem(name, text string) {
	x.openPlain(name)
	x.escape(text)
	x.close(name)
}

// some writes an element unless the text is empty.
func (x *xmlWriter) some(name, text string) {
	if text != "" {
		x.elem(name, text)
	}
}

func (x *xmlWriter) bool(name string, v bool) {
	if v {
		x.elem(name, "true")
	} else {
		x.elem(name, "false")
	}
}

func (x *xmlWriter) escape(s string) {
	const hexDigits = "0123456789ABCDEF"
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			x.b.WriteString("&amp;")
		case r == '<':
			x.b.WriteString("&lt;")
		case r == '>':
			x.b.WriteString("&gt;")
		case r == '"':
			x.b.WriteString("&quot;")
		case r == '\'':
			x.b.WriteString("&#39;")
		case r < 0x20 || r == 0x7f:
			x.b.WriteString("&#x")
			if r >= 0x10 {
				x.b.WriteByte(hexDigits[r>>4])
			}
			x.b.WriteByte(hexDigits[r&15])
			x.b.WriteByte(';')
		case r == utf8.RuneError && n == 1, r == 0xFFFE, r == 0xFFFF:
			x.b.WriteRune(utf8.RuneError)
		default:
			x.b.WriteString(s[i : i+n])
		}
		i += n
	}
}

func (x *xmlWriter) time(name string, t time.Time) { x.elem(name, xmlTime(t)) }

func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// urlEncode is S3's encoding-type=url: a path escaped, slashes kept.
func urlEncode(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%2F", "/")
}

// element is a parsed XML element.
type element struct {
	name string
	text string // of the element itself, without its children's
	kids []*element
}

// parseXML reads a document whose root element has that name, in any namespace.
// Everything that is not plain elements and text is refused, and so is a
// document that is too deep or has too many elements; its size is bounded by
// whoever read it.
func parseXML(data []byte, root string) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, fail("MalformedXML") }
	var (
		top   element // its only child will be the root
		open  = []*element{&top}
		count int
	)
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fail("MalformedXML")
		}
		at := open[len(open)-1]
		switch tok := token.(type) {
		case xml.StartElement:
			if count++; count > maxElements || len(open) > maxDepth || at == &top && len(top.kids) > 0 {
				return nil, fail("MalformedXML")
			}
			e := &element{name: tok.Name.Local}
			at.kids = append(at.kids, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if at != &top {
				at.text += string(tok)
			} else if len(bytes.TrimSpace(tok)) > 0 {
				return nil, fail("MalformedXML")
			}
		case xml.Directive:
			return nil, fail("MalformedXML")
		}
	}
	if len(top.kids) != 1 || top.kids[0].name != root {
		return nil, fail("MalformedXML")
	}
	return top.kids[0], nil
}

// child returns the text of the only child of that name. It reports false if
// there is none; more than one, or one with children, is MalformedXML.
func (e *element) child(name string) (text string, ok bool, err error) {
	for _, k := range e.kids {
		if k.name != name {
			continue
		}
		if ok || len(k.kids) > 0 {
			return "", false, fail("MalformedXML")
		}
		text, ok = k.text, true
	}
	return text, ok, nil
}
