// Command probe is the content of the image that the cluster's own tests run: a server that
// names its pod, and the few commands that an `kubectl exec` into it needs.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const limit = 5 * time.Second

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: probe serve|get URL|write FILE TEXT|read FILE"))
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "serve":
		fail(serve())
	case "get":
		fail(get(args[0]))
	case "write":
		fail(os.WriteFile(args[0], []byte(args[1]), 0o600))
	case "read":
		content, err := os.ReadFile(args[0])
		fail(err)
		fmt.Print(string(content))
	default:
		fail(fmt.Errorf("no command %q", os.Args[1]))
	}
}

// serve answers with the pod's name; /burn keeps one core busy for a second, for autoscalers.
func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	http.HandleFunc("/burn", func(w http.ResponseWriter, _ *http.Request) {
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
		}
		fmt.Fprintln(w, name)
	})
	fmt.Println("serving as", name)
	return http.ListenAndServe(":8000", nil)
}

func get(url string) error {
	client := http.Client{Timeout: limit}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
