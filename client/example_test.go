package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/cairn-storage/cairn/client"
)

var ada = client.Signature{Name: "Ada", Email: "ada@example.com"}

// Make a repository and its first commit, and read it back.
func Example() {
	ctx := context.Background()
	signer, err := client.ParsePrivateKey(key) // what cairn key create wrote
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(address, client.WithKey("acme", signer))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.CreateRepository(ctx, client.NewRepository{Name: "team/hello"}); err != nil {
		log.Fatal(err)
	}
	repo := c.Repo("team/hello")
	_, err = repo.Commit(ctx, client.NewCommit{
		Branch: "main", Message: "First", Author: ada,
		Changes: []client.Change{
			client.PutString("hello.txt", "Hello, cairn\n"),
			client.PutString("run.sh", "#!/bin/sh\n").WithMode(client.ModeExecutable),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	text, err := repo.Read(ctx, client.FileQuery{Path: "hello.txt"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", text)
	for entry, err := range repo.List(ctx, client.ListQuery{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Mode, entry.Path)
	}
	// Output:
	// Hello, cairn
	// 100644 hello.txt
	// 100755 run.sh
}

// exampleRepo is a new repository with one file.
func exampleRepo(name string) *client.Repo {
	signer, err := client.ParsePrivateKey(key)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(address, client.WithKey("acme", signer))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.CreateRepository(context.Background(), client.NewRepository{Name: name}); err != nil {
		log.Fatal(err)
	}
	put(c.Repo(name), "main", "README.md", "one\n")
	return c.Repo(name)
}

// put commits one file.
func put(repo *client.Repo, branch, path, text string) {
	in := client.NewCommit{Branch: branch, Message: "Write " + path, Author: ada, Changes: []client.Change{client.PutString(path, text)}}
	if branch != "main" {
		in.Base = "main" // where it begins if it is not there yet
	}
	_, err := repo.Commit(context.Background(), in)
	if err != nil {
		log.Fatal(err)
	}
}

// A guard makes a commit only if nobody was faster.
func ExampleRepo_Commit_guard() {
	ctx := context.Background()
	repo := exampleRepo("examples/guard")
	main, err := repo.Branch(ctx, "main", false)
	if err != nil {
		log.Fatal(err)
	}
	put(repo, "main", "other.txt", "somebody was faster\n")

	_, err = repo.Commit(ctx, client.NewCommit{
		Branch: "main", Message: "Mine", Author: ada, ExpectedHead: main.Head,
		Changes: []client.Change{client.PutString("README.md", "two\n")},
	})
	fmt.Println(errors.Is(err, client.ErrGuard))
	var refused *client.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Result)
	}
	// Output:
	// true
	// 409 precondition_failed
}

// A history is gone through page by page, as far as the loop goes.
func ExampleRepo_Log() {
	ctx := context.Background()
	repo := exampleRepo("examples/log")
	for i := range 3 {
		put(repo, "main", fmt.Sprintf("%d.txt", i), "x")
	}
	for commit, err := range repo.Log(ctx, client.LogQuery{Ref: "main"}) {
		if err != nil {
			log.Fatal(err)
		}
		if len(commit.Parents) == 0 {
			break
		}
		fmt.Println(commit.Message)
	}
	// Output:
	// Write 2.txt
	// Write 1.txt
	// Write 0.txt
}

// A patch as git diff prints it becomes a commit.
func ExampleRepo_CommitPatch() {
	ctx := context.Background()
	repo := exampleRepo("examples/patch")
	patch := `diff --git a/README.md b/README.md
--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-one
+two
`
	_, err := repo.CommitPatch(ctx, client.NewCommit{Branch: "main", Message: "Count on", Author: ada}, strings.NewReader(patch))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := repo.Read(ctx, client.FileQuery{Path: "README.md"})
	fmt.Printf("%s%v\n", text, err)
	// Output:
	// two
	// <nil>
}

// Follow tells of every change of a ref, from a place in the log on.
func ExampleRepo_Follow() {
	ctx := context.Background()
	repo := exampleRepo("examples/follow")
	var begin string
	for event, err := range repo.Events(ctx, client.EventsQuery{NewestFirst: true}) {
		if err != nil {
			log.Fatal(err)
		}
		begin = event.Cursor
		break
	}
	put(repo, "agent/7", "a", "a")
	put(repo, "agent/7", "b", "b")
	n := 0
	for event, err := range repo.Follow(ctx, client.EventsQuery{RefPrefix: "refs/heads/agent/", After: begin}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Action, event.Ref)
		if n++; n == 2 {
			break
		}
	}
	// Output:
	// create refs/heads/agent/7
	// update refs/heads/agent/7
}

// A handler of webhooks verifies each delivery before it believes it.
func ExampleReadDelivery() {
	http.HandleFunc("POST /hooks", func(w http.ResponseWriter, r *http.Request) {
		delivery, err := client.ReadDelivery(r, os.Getenv("WEBHOOK_SECRET"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if push, err := delivery.Push(); err == nil {
			log.Println(push.Repository.URL, push.Ref, "is now at", push.After)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
