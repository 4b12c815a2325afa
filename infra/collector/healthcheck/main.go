// The health check of the collector's image, which has no shell. It requests the extension
// `health_check`, and exits with 0 if the extension responds with 200.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

// Less than the three seconds for which the health checks of ECS and Docker wait.
const timeLimit = 2 * time.Second

func main() {
	if err := check(url()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Returns the first argument, or the address of the extension in base.yaml. A request to 0.0.0.0
// is sent to the loopback address.
func url() string {
	if len(os.Args) > 1 {
		return os.Args[1]
	}
	host := os.Getenv("OTLP_LISTEN_HOST")
	if host == "" {
		host = "127.0.0.1"
	}
	return "http://" + host + ":13133/"
}

func check(url string) error {
	// Not the default transport, which reads HTTP_PROXY.
	client := http.Client{Timeout: timeLimit, Transport: &http.Transport{}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responded with %s, expected 200", url, response.Status)
	}
	return nil
}
