// go_smtp: emersion's go-smtp on loopback, until a signal. It prints its port.
package main

import (
	"fmt"
	"io"
	"log"
	"net"

	"github.com/emersion/go-smtp"
)

// taking takes every message, and forgets it.
type taking struct{}

func (taking) Login(*smtp.ConnectionState, string, string) (smtp.Session, error) {
	return nil, smtp.ErrAuthUnsupported
}
func (taking) AnonymousLogin(*smtp.ConnectionState) (smtp.Session, error) { return taking{}, nil }
func (taking) Reset()                                                     {}
func (taking) Logout() error                                              { return nil }
func (taking) Mail(string, smtp.MailOptions) error                        { return nil }
func (taking) Rcpt(string) error                                          { return nil }
func (taking) Data(message io.Reader) error {
	_, err := io.Copy(io.Discard, message)
	return err
}

func main() {
	server := smtp.NewServer(taking{})
	server.Domain = "mx.example.org"
	server.AuthDisabled = true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(server.Serve(listener))
}
