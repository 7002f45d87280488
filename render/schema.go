package render

import (
	"sync"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomize keeps the OpenAPI schema that it merges by in globals. Builds read it
// side by side once it is whole; whatever may write to it is alone. Nobody sees what
// a build left there that changed it.
var kustomize schemaLock

type schemaLock struct {
	sync.RWMutex
	whole bool // nothing reads it in any more
}

// change begins a build that changes the schema.
func (l *schemaLock) change() (end func()) {
	l.Lock()
	l.reset()
	return func() {
		l.reset()
		l.Unlock()
	}
}

func (l *schemaLock) reset() {
	openapi.ResetOpenAPI()
	l.whole = false
}

// read begins what reads the schema, or reads it in. Who is alone often needs none
// of it: it is completed for whoever comes meanwhile.
func (l *schemaLock) read() (end func()) {
	for {
		l.RLock()
		if l.whole {
			return l.RUnlock
		}
		l.RUnlock()
		if l.TryLock() {
			return l.Unlock
		}
		l.Lock()
		openapi.Schema()
		l.whole = true
		l.Unlock()
	}
}
