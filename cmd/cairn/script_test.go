package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cairn-storage/cairn/client"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cairn": func() { os.Exit(run()) },
	})
}

// TestScripts runs the stories in testdata: the command as its users meet it,
// with stock git and curl beside it. Beyond testscript's own commands there are
//
//	serve [FLAG]...   start cairn serve on free ports with the data directory
//	                  $WORK/data and set $URL, $OPS and $HOST
//	stop [SIGNAL]     end it and want a clean end
//	token FLAG...     set $TOKEN to what cairn token prints
//	get STATUS PATH [TOKEN]   request $URL/PATH; the body goes to stdout; $CACERT is
//	                  a file with an authority to trust; ! get wants no answer
//	status N CMD...   run a command and want that exit status
//	env-from-json NAME FILE [FIELD]   set $NAME to the id, or another field, of
//	                  the first in a list, or of one object
//	receiver          start a receiver of webhooks and set $RECEIVER to its address
//	received EVENT    wait for a delivery of that type, signed with $SECRET; its
//	                  body goes to stdout
//	slow              have a request under way while the server stops
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("CAIRN_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(env.WorkDir, "gitconfig"))
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("GIT_TERMINAL_PROMPT", "0")
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "A U Thor")
				env.Setenv("GIT_"+who+"_EMAIL", "author@example.com")
				env.Setenv("GIT_"+who+"_DATE", "2026-01-01T00:00:00Z")
			}
			env.Values["servers"] = &servers{}
			env.Values["deliveries"] = make(chan *http.Request, 10)
			env.Defer(func() { env.Values["servers"].(*servers).kill() })
			return os.WriteFile(filepath.Join(env.WorkDir, "gitconfig"), []byte("[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":         serveCommand,
			"stop":          stopCommand,
			"token":         tokenCommand,
			"get":           getCommand,
			"slow":          slowCommand,
			"status":        statusCommand,
			"env-from-json": envFromJSON,
			"receiver":      receiverCommand,
			"received":      receivedCommand,
		},
	})
}

// servers are the servers of one script; the last is the one that stop means.
type servers struct{ running []*runningServer }

type runningServer struct {
	cmd    *exec.Cmd
	exited chan error
	log    string
}

func (s *servers) kill() {
	for _, r := range s.running {
		_ = r.cmd.Process.Kill()
		<-r.exited
	}
}

const patience = 30 * time.Second

func serveCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("! serve: use exec cairn serve")
	}
	binary, err := os.Executable()
	ts.Check(err)
	data := ts.Getenv("CAIRN_DATA")
	address := filepath.Join(data, "address")
	_ = os.Remove(address)
	out, err := os.Create(ts.MkAbs("serve.out"))
	ts.Check(err)
	defer out.Close()
	log, err := os.Create(ts.MkAbs("serve.log"))
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}, args...)...)
	cmd.Args[0] = "cairn" // testscript tells commands by their name
	cmd.Path = filepath.Join(binDir(ts), "cairn")
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "CAIRN_DATA="+data, "HOME="+ts.Getenv("HOME"))
	cmd.Stdout, cmd.Stderr = out, log
	ts.Check(cmd.Start())
	r := &runningServer{cmd, make(chan error, 1), log.Name()}
	go func() { r.exited <- cmd.Wait() }()
	all := ts.Value("servers").(*servers)
	all.running = append(all.running, r)
	url := waitFor(ts, r, fileText(address))
	ts.Setenv("URL", url)
	ts.Setenv("HOST", url[strings.Index(url, "://")+3:])
	if slices.Contains(args, "json") {
		return // it welcomes nobody
	}
	for line := range strings.Lines(waitFor(ts, r, fileText(ts.MkAbs("serve.out")))) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "Metrics" {
			ts.Setenv("OPS", strings.TrimSuffix(fields[1], "/metrics"))
		}
	}
}

// binDir is where testscript put the command.
func binDir(ts *testscript.TestScript) string {
	path, err := exec.LookPath("cairn")
	if err != nil {
		for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
			if _, err := os.Stat(filepath.Join(dir, "cairn")); err == nil {
				return dir
			}
		}
		ts.Fatalf("cairn is not on PATH")
	}
	return filepath.Dir(path)
}

// fileText asks for what a file has, which may not be there yet.
func fileText(name string) func() string {
	return func() string {
		text, _ := os.ReadFile(name)
		return strings.TrimSpace(string(text))
	}
}

// waitFor asks until there is an answer, or the server is gone.
func waitFor(ts *testscript.TestScript, r *runningServer, ask func() string) string {
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if answer := ask(); answer != "" {
			return answer
		}
		select {
		case err := <-r.exited:
			r.exited <- err
			text, _ := os.ReadFile(r.log)
			ts.Fatalf("the server ended: %v\n%s", err, text)
		case <-deadline:
			text, _ := os.ReadFile(r.log)
			ts.Fatalf("the server is not ready after %s\n%s", patience, text)
		case <-tick.C:
		}
	}
}

func stopCommand(ts *testscript.TestScript, neg bool, args []string) {
	all := ts.Value("servers").(*servers)
	r := all.running[len(all.running)-1]
	all.running = all.running[:len(all.running)-1]
	how := syscall.SIGTERM
	if len(args) == 1 && args[0] == "INT" {
		how = syscall.SIGINT
	}
	ts.Check(r.cmd.Process.Signal(how))
	select {
	case err := <-r.exited:
		if err != nil != neg {
			text, _ := os.ReadFile(r.log)
			ts.Fatalf("the server ended with %v\n%s", err, text)
		}
	case <-time.After(patience):
		_ = r.cmd.Process.Kill()
		ts.Fatalf("the server does not end")
	}
}

func tokenCommand(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(filepath.Join(binDir(ts), "cairn"), append([]string{"token"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stderr = ts.Stderr()
	out, err := cmd.Output()
	ts.Check(err)
	ts.Setenv("TOKEN", strings.TrimSpace(string(out)))
}

func getCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: get STATUS PATH [TOKEN]")
	}
	address := args[1]
	if strings.HasPrefix(address, "/") {
		address = ts.Getenv("URL") + address
	}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	ts.Check(err)
	if len(args) == 3 {
		request.Header.Set("Authorization", "Bearer "+args[2])
	}
	client := http.DefaultClient
	if path := ts.Getenv("CACERT"); path != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile(path)))
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		defer client.CloseIdleConnections()
	}
	response, err := client.Do(request)
	if neg && err != nil {
		_, err = fmt.Fprint(ts.Stdout(), err)
	}
	ts.Check(err)
	if neg {
		if response != nil {
			response.Body.Close()
			ts.Fatalf("%s: got an answer, %s", address, response.Status)
		}
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
	if got := fmt.Sprint(response.StatusCode); got != args[0] {
		ts.Fatalf("%s: got the status %s, want %s: %s", address, got, args[0], body)
	}
}

// slowCommand has a request under way while the server is told to stop: it
// sends half of a body, stops the server, sends the rest, and wants the answer.
func slowCommand(ts *testscript.TestScript, _ bool, _ []string) {
	token, err := os.ReadFile(filepath.Join(ts.Getenv("CAIRN_DATA"), "admin-token"))
	ts.Check(err)
	read, write := io.Pipe()
	request, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+"/admin/v1/organizations", read)
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Expect", "100-continue") // the server asks for the body once it is at work
	answered := make(chan string, 1)
	go func() {
		response, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}).Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answered <- response.Status + " " + string(body)
	}()
	_, err = io.Copy(write, bytes.NewReader([]byte(`{"name":`))) // returns when the body is being read
	ts.Check(err)
	all := ts.Value("servers").(*servers)
	r := all.running[len(all.running)-1]
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	waitFor(ts, r, func() string {
		text, _ := os.ReadFile(r.log)
		if bytes.Contains(text, []byte("stopping")) {
			return "stopping"
		}
		return ""
	})
	_, err = write.Write([]byte(`"late"}`))
	ts.Check(err)
	ts.Check(write.Close())
	if answer := <-answered; !strings.HasPrefix(answer, "201 ") {
		ts.Fatalf("the request under way got %s", answer)
	}
	err = <-r.exited
	all.running = all.running[:len(all.running)-1]
	ts.Check(err)
}

// statusCommand runs a command and wants an exit status; what it prints on
// stderr can be asked for.
func statusCommand(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("%q: got the status %d, want %s", args[1:], got, args[0])
	}
}

func envFromJSON(ts *testscript.TestScript, _ bool, args []string) {
	field := "id"
	if len(args) == 3 {
		field = args[2]
	}
	text := strings.TrimSpace(ts.ReadFile(args[1]))
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	var list []map[string]any
	ts.Check(json.Unmarshal([]byte(text), &list))
	value, ok := list[0][field].(string)
	if !ok {
		ts.Fatalf("the first of %s has no %s", args[1], field)
	}
	ts.Setenv(args[0], value)
}

func receiverCommand(ts *testscript.TestScript, _ bool, _ []string) {
	deliveries := ts.Value("deliveries").(chan *http.Request)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body)) // to be read when the script asks
		deliveries <- r
	}))
	ts.Defer(receiver.Close)
	ts.Setenv("RECEIVER", receiver.URL)
}

func receivedCommand(ts *testscript.TestScript, _ bool, args []string) {
	select {
	case r := <-ts.Value("deliveries").(chan *http.Request):
		d, err := client.ReadDelivery(r, ts.Getenv("SECRET"))
		ts.Check(err)
		if d.Event != args[0] {
			ts.Fatalf("got the event %s, want %s", d.Event, args[0])
		}
		_, err = ts.Stdout().Write(d.Body)
		ts.Check(err)
	case <-time.After(patience):
		ts.Fatalf("no delivery came")
	}
}
