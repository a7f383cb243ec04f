# perl net_smtp_send.pl OPTIONS: send a file by Net::SMTP.
# OPTIONS is JSON: { port, mode, ca, sender, recipient, file }, and { mechanism, user, password } to log in.
use strict;
use warnings FATAL => "all";
use Authen::SASL;
use JSON::PP;
use Net::SMTP;

my $options = decode_json($ARGV[0]);
my $smtp = Net::SMTP->new(
    "127.0.0.1",
    Port => $options->{port},
    Hello => "client.example",
    Timeout => 60,
    SSL => $options->{mode} eq "TLS",
    SSL_ca_file => $options->{ca},
    SSL_verifycn_name => "localhost",
) or die $@;

# What the server said to the command that has failed.
sub failed { die $smtp->code, " ", $smtp->message }

if ($options->{mode} eq "STARTTLS") {
    $smtp->starttls or failed;
}
if (defined $options->{mechanism}) {
    my %callback = (user => $options->{user}, authname => $options->{user}, pass => $options->{password});
    $smtp->auth(Authen::SASL->new(mechanism => $options->{mechanism}, callback => \%callback)) or failed;
}
open(my $file, "<:raw", $options->{file}) or die $!;
my $message = do { local $/; <$file> } // "";
$smtp->mail($options->{sender}, Bits => 8) or failed;
$smtp->to($options->{recipient}) or failed;
$smtp->data or failed;
$smtp->datasend($message) or failed;
$smtp->dataend or failed;
$smtp->quit or failed;
