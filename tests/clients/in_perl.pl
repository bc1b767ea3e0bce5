#!/usr/bin/env perl
# The tries of Mojolicious: the jobs as JSON on its input, a line of JSON for each try on its
# output.
use Mojo::Base -strict, -signatures;
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::Promise;
use Mojo::UserAgent;

use constant WAIT_SECONDS => 40;
use constant SHOWN => 64 * 1024;

$| = 1;

# In the same form as the other languages' clients: a text, or its length and ends.
sub told ($text) {
  return $text if length $text <= SHOWN;
  return length($text) . ': ' . substr($text, 0, 32) . '...' . substr($text, -32);
}

sub agent {
  my $agent = Mojo::UserAgent->new;
  $agent->inactivity_timeout(WAIT_SECONDS)->max_response_size(0);
  return $agent;
}

# A body that comes slowly.
sub in_pieces ($tx, $body, $left) {
  return unless $left;
  my $later = sub {
    in_pieces($tx, $body, $left - 1);
    $tx->resume;
  };
  $tx->req->content->write(
    'x' x $body->{bytes} => sub { Mojo::IOLoop->timer($body->{pause_ms} / 1000 => $later) });
}

my $http = agent();

sub by_http ($job) {
  my $body = $job->{body};
  my $tx = $http->build_tx($job->{method} => $job->{url} => $job->{headers});
  if ($body) {
    my $request = $tx->req;
    $request->headers->content_type('application/octet-stream');
    if ($body->{pause_ms}) {
      $request->headers->content_length($body->{pieces} * $body->{bytes});
      in_pieces($tx, $body, $body->{pieces});
    }
    else { $request->body('x' x ($body->{pieces} * $body->{bytes})) }
  }
  return $http->start_p($tx)->then(sub ($tx) {
    my $answer = $tx->res;
    my $names = $answer->headers->names;
    my %headers = map { lc $_ => $answer->headers->header($_) } @$names;
    # A multipart answer has been split into its parts, and has no text itself.
    my $body = $answer->content->is_multipart ? $answer->build_body : $answer->body;
    return {status => 0 + $answer->code, headers => \%headers, body => told($body)};
  });
}

# Frames as Mojo::Transaction::WebSocket takes them: FIN, three reserved bits, opcode, payload.
my %OTHER = (
  'bad UTF-8' => [[1, 0, 0, 0, 1, "\xff\xfe"]],
  'fragments' =>
    [[0, 0, 0, 0, 1, 'part'], (map { [0, 0, 0, 0, 0, 'part'] } 1 .. 8), [1, 0, 0, 0, 0, 'end']],
  'opcode' => [[1, 0, 0, 0, 3, 'what']],
);

sub push_parts ($tx, $parts) {
  for my $part (@$parts) {
    if (defined $part->{text}) { $tx->send({text => $part->{text}}) }
    elsif ($part->{other}) { $tx->send($_) for @{$OTHER{$part->{other}}} }
    else { $tx->send({binary => "\0" x $part->{zeros}}) for 1 .. $part->{count} }
  }
}

sub by_websocket ($job) {
  my $agent = agent();
  my $promise = Mojo::Promise->new;
  my @messages;
  my $opened = sub ($, $tx) {
    my $error = $tx->error ? $tx->error->{message} : 'no WebSocket';
    return $promise->reject($error) unless $tx->is_websocket;
    my $extensions = $tx->res->headers->sec_websocket_extensions // '';
    $tx->max_websocket_size(1 << 30);
    $tx->on(
      message => sub ($tx, $text) {
        push @messages, told($text);
        $tx->send({text => 'bye'}) if $job->{enough} && @messages == $job->{enough};
      }
    );
    $tx->on(
      finish => sub ($tx, $code, $reason) {
        my %got = (messages => \@messages, code => $code, reason => $reason // '');
        $promise->resolve({%got, extensions => $extensions});
      }
    );
    push_parts($tx, $job->{send});
  };
  $agent->websocket($job->{url} => {'Sec-WebSocket-Extensions' => 'permessage-deflate'} => $opened);
  # It must live until then.
  return $promise->finally(sub { undef $agent });
}

sub tried ($job) {
  my $promise = $job->{send} ? by_websocket($job) : by_http($job);
  return $promise->timeout(WAIT_SECONDS)->catch(sub ($error) { {error => "$error"} })->then(
    sub ($got) {
      say encode_json({case => $job->{case}, got => $got});
    }
  );
}

for my $job (@{decode_json(join '', <STDIN>)}) {
  if ($job->{together}) { Mojo::Promise->all(map { tried($job) } 1 .. $job->{tries})->wait }
  else { tried($job)->wait for 1 .. $job->{tries} }
}
