package review_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium with one page, which it is told what to do with
// over a pipe, in the words of https://chromedevtools.github.io/devtools-protocol.
type browser struct {
	t        *testing.T
	in       *os.File
	messages chan message
	session  string
	last     int
	trouble  []string // what the page said that it should not have
	asked    []string // every address that it asked for
}

type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

func startChromium(t *testing.T) *browser {
	program := ""
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	require.NotEmpty(t, program, "this test needs Chromium: run make deps")
	theirs, in, err := os.Pipe()
	require.NoError(t, err)
	out, theirOut, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, theirOut} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	theirs.Close()
	theirOut.Close()
	b := &browser{t: t, in: in, messages: make(chan message, 10_000)}
	t.Cleanup(func() {
		in.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		out.Close()
	})
	go func() {
		defer close(b.messages)
		for r := bufio.NewReader(out); ; {
			data, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var m message
			if json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &m) == nil {
				b.messages <- m
			}
		}
	}()
	b.openTab()
	return b
}

func (b *browser) openTab() {
	var target struct{ TargetID, SessionID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Security"} {
		b.call(domain+".enable", nil, nil)
	}
}

// call sends one command and waits for its answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.last++
	command := map[string]any{"id": b.last, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	data, err := json.Marshal(command)
	require.NoError(b.t, err)
	_, err = b.in.Write(append(data, 0))
	require.NoError(b.t, err)
	m := b.next(func(m message) bool { return m.ID == b.last })
	require.Nil(b.t, m.Error, "%s: %v", method, m.Error)
	if result != nil {
		require.NoError(b.t, json.Unmarshal(m.Result, result))
	}
}

// next waits for a message, and looks at all before it.
func (b *browser) next(wanted func(message) bool) message {
	b.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case m, open := <-b.messages:
			require.True(b.t, open, "Chromium ended")
			switch m.Method {
			case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
				b.trouble = append(b.trouble, string(m.Params))
			case "Network.requestWillBeSent":
				var p struct{ Request struct{ URL string } }
				require.NoError(b.t, json.Unmarshal(m.Params, &p))
				b.asked = append(b.asked, p.Request.URL)
			}
			if wanted(m) {
				return m
			}
		case <-late:
			require.Fail(b.t, "Chromium does not answer")
		}
	}
}

// open loads a file from the disk, and returns how long that took until its script had run.
func (b *browser) open(file, fragment string) time.Duration {
	start := time.Now()
	address := url.URL{Scheme: "file", Path: file, Fragment: fragment}
	b.call("Page.navigate", map[string]any{"url": address.String()}, nil)
	b.next(func(m message) bool { return m.Method == "Page.loadEventFired" })
	b.eval("1")
	return time.Since(start)
}

// eval returns what an expression of the page is, as JSON has it.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	require.Empty(b.t, string(r.ExceptionDetails), expression)
	return r.Result.Value
}

// settle waits until what was typed or clicked is drawn.
func (b *browser) settle() {
	b.eval("new Promise(r => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => setTimeout(r)))))")
}

func (b *browser) click(selector string) {
	b.t.Helper()
	var at struct{ X, Y float64 }
	data, err := json.Marshal(b.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: 'center'});
		const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2} })()`, selector)))
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(data, &at))
	for _, what := range []string{"mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{"type": what, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
	b.settle()
}

func (b *browser) press(key string) {
	text := key
	if len(key) > 1 {
		text = ""
	}
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "text": text}, nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
	b.settle()
}

func (b *browser) typeText(text string) {
	b.call("Input.insertText", map[string]any{"text": text}, nil)
	b.settle()
}

// look sets the window and the colours, and keeps a picture where SCREENSHOTS names a folder.
func (b *browser) look(name string, width, height int, scheme string) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.settle()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.True(b.t, strings.HasPrefix(string(png), "\x89PNG"))
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
	}
}
