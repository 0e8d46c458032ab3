# frozen_string_literal: true

# Ends with 0 when the Consul servers count this node as alive and its last run of Chef succeeded; otherwise says why not.
# An agent that the others have lost goes on answering its own host, so the servers are asked, through the agent.

require 'json'
require 'net/http'

def presence_problem(name)
  uri = URI("http://#{ENV.fetch('CONSUL_HTTP_ADDR', '127.0.0.1:8500')}/v1/health/node/#{name}")
  answer = Net::HTTP.start(uri.host, uri.port, nil, open_timeout: 3, read_timeout: 8) { |http| http.get(uri.path) }
  return "Consul answers #{answer.code}: #{answer.body.strip}" unless answer.code == '200'

  serf = JSON.parse(answer.body).find { |check| check['CheckID'] == 'serfHealth' }
  return "Consul's servers do not know #{name}" if serf.nil?

  "Consul's servers hold #{name} for lost: #{serf['Output']}" unless serf['Status'] == 'passing'
rescue SystemCallError, IOError, Timeout::Error, Net::ProtocolError, JSON::ParserError => e
  "Consul's agent does not answer: #{e.message}"
end

# The script converge writes the exit code. There is none while the first run is in progress.
def outcome_problem(home)
  code = File.read("#{home}/last_outcome").strip
  "the last run of Chef ended with #{code}; see #{home}/chef.log and this container's log" unless code == '0'
rescue Errno::ENOENT
  nil
end

problems = [presence_problem(ENV.fetch('NODE_NAME')), outcome_problem(ENV.fetch('NODE_HOME'))].compact
puts(problems.empty? ? 'alive, and Chef succeeded' : problems)
exit(problems.empty?)
