// The tries of Go's net/http: the jobs as JSON on its input, a line of JSON for each try on its
// output.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const wait = 40 * time.Second
const shown = 64 * 1024

type body struct {
	Pieces  int `json:"pieces"`
	Bytes   int `json:"bytes"`
	PauseMs int `json:"pause_ms"`
}

type job struct {
	Case     string            `json:"case"`
	Tries    int               `json:"tries"`
	Together bool              `json:"together"`
	Method   string            `json:"method"`
	URL      string            `json:"url"`
	Headers  map[string]string `json:"headers"`
	Body     *body             `json:"body"`
}

// pieces is a body that comes slowly.
type pieces struct {
	body
	left int
}

func (p *pieces) Read(into []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	inPiece := p.left % p.Bytes
	if inPiece == 0 {
		inPiece = p.Bytes
	}
	taken := min(inPiece, len(into))
	copy(into, bytes.Repeat([]byte("x"), taken))
	p.left -= taken
	if taken == inPiece {
		time.Sleep(time.Duration(p.PauseMs) * time.Millisecond)
	}
	return taken, nil
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// told returns a text in the same form as the other languages' clients: all of it, or its length
// and ends.
func told(text string) string {
	if len(text) <= shown {
		return text
	}
	return fmt.Sprintf("%d: %s...%s", len(text), text[:32], text[len(text)-32:])
}

func attempt(client *http.Client, j job) (map[string]any, error) {
	var sent io.Reader
	length := 0
	if j.Body != nil {
		length = j.Body.Pieces * j.Body.Bytes
		sent = bytes.NewReader(bytes.Repeat([]byte("x"), length))
		if j.Body.PauseMs > 0 {
			sent = &pieces{*j.Body, length}
		}
	}
	request, err := http.NewRequest(j.Method, j.URL, sent)
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(length)
	for name, value := range j.Headers {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for name := range answer.Header {
		headers[strings.ToLower(name)] = answer.Header.Get(name)
	}
	got := map[string]any{"status": answer.StatusCode, "headers": headers, "body": told(string(text))}
	return got, nil
}

func main() {
	var jobs []job
	if err := json.NewDecoder(os.Stdin).Decode(&jobs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	client := &http.Client{Transport: transport, Timeout: wait}
	var telling sync.Mutex
	lines := json.NewEncoder(os.Stdout)
	tried := func(j job) {
		got, err := attempt(client, j)
		if err != nil {
			got = map[string]any{"error": err.Error()}
		}
		telling.Lock()
		defer telling.Unlock()
		lines.Encode(map[string]any{"case": j.Case, "got": got})
	}
	for _, j := range jobs {
		var all sync.WaitGroup
		for n := 0; n < j.Tries; n++ {
			if !j.Together {
				tried(j)
				continue
			}
			all.Add(1)
			go func(j job) {
				defer all.Done()
				tried(j)
			}(j)
		}
		all.Wait()
	}
}
