// The echo contract over Go's net/http/fcgi.
package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/url"
	"os"
	"strconv"
	"time"
)

const pattern = "abcdefghijklmnopqrstuvwxyz0123456789\n"
const pieces = 4

func number(query url.Values, name string) int {
	value, _ := strconv.Atoi(query.Get(name))
	return value
}

func answer(writer http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	var body []byte
	if request.Method == "POST" {
		body, _ = io.ReadAll(request.Body)
	} else {
		size := number(query, "n")
		body = bytes.Repeat([]byte(pattern), size/len(pattern)+1)[:size]
	}
	time.Sleep(time.Duration(number(query, "delay")) * time.Millisecond)
	writer.Header().Set("Content-Type", "text/plain")
	writer.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	slow := number(query, "slow")
	for piece := 0; piece < pieces; piece++ {
		writer.Write(body[len(body)*piece/pieces : len(body)*(piece+1)/pieces])
		if slow > 0 {
			writer.(http.Flusher).Flush()
			time.Sleep(time.Duration(slow/pieces) * time.Millisecond)
		}
	}
}

func main() {
	listener, err := net.FileListener(os.Stdin)
	if err == nil {
		err = fcgi.Serve(listener, http.HandlerFunc(answer))
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
