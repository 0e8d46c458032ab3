# frozen_string_literal: true

# Exits with 0 if the Consul servers consider this node alive and its last Chef run succeeded; otherwise prints why not.
# An agent that the others have lost still answers its own host, so this asks the servers, through the agent.

require 'json'
require 'net/http'

def presence_problem(name)
  uri = URI("http://#{ENV.fetch('CONSUL_HTTP_ADDR', '127.0.0.1:8500')}/v1/health/node/#{name}")
  answer = Net::HTTP.start(uri.host, uri.port, nil, open_timeout: 3, read_timeout: 8) { |http| http.get(uri.path) }
  return "Consul answers #{answer.code}: #{answer.body.strip}" unless answer.code == '200'

  serf = JSON.parse(answer.body).find { |check| check['CheckID'] == 'serfHealth' }
  return "Consul's servers do not know #{name}" if serf.nil?

  "Consul's servers have lost #{name}: #{serf['Output']}" unless serf['Status'] == 'passing'
rescue SystemCallError, IOError, Timeout::Error, Net::ProtocolError, JSON::ParserError => e
  "Consul's agent does not answer: #{e.message}"
end

# The script converge writes the exit code. The file does not exist while the first run is in progress.
def outcome_problem(home)
  code = File.read("#{home}/last_outcome").strip
  "the last Chef run exited with #{code}; see #{home}/chef.log and this container's log" unless code == '0'
rescue Errno::ENOENT
  nil
end

problems = [presence_problem(ENV.fetch('NODE_NAME')), outcome_problem(ENV.fetch('NODE_HOME'))].compact
puts(problems.empty? ? 'alive, and the last Chef run succeeded' : problems)
exit(problems.empty?)
