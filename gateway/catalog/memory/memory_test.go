package memory_test

import (
	"testing"

	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/conformance"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
)

func TestMemoryKeepsTheCatalogsPromises(t *testing.T) {
	conformance.Run(t, func(*testing.T) catalog.Catalog { return memory.New() })
}
