# frozen_string_literal: true

require 'json'
require_relative 'consul_kv'
require_relative 'keys'

module DesiredState
  # How this node reaches the shared data view, and under which name: from node['desired_state'], or from the JSON file that
  # desired_state_install writes for programs outside Chef. Consul's environment variables replace missing settings.
  class Settings
    DEFAULT_PREFIX = 'chefconsul'
    DEFAULT_URL = 'http://127.0.0.1:8500'
    DEFAULT_PATIENCE = 15
    YES = %w(1 t T TRUE true True).freeze # as Consul's own tools parse their variables
    NO = %w(0 f F FALSE false False).freeze
    NAMES = %w(
      ca_file cert_file consul_url environment key_file meta namespace node_name partition patience prefix state_dir
      token_file verify
    ).freeze
    TENANCY = /\A[A-Za-z0-9-]{1,64}\z/.freeze

    attr_reader :node_name, :environment, :keys, :kv, :namespace, :patience, :state_dir

    # Reads the JSON file; raises InvalidInput.
    def self.read(path)
      given = JSON.parse(File.read(path, encoding: Encoding::UTF_8))
      raise InvalidInput, "settings #{path} must be a JSON object" unless given.is_a?(Hash)

      new(given)
    rescue SystemCallError, JSON::ParserError => e
      raise InvalidInput, "settings #{path} cannot be read: #{e.message}"
    end

    # +given+: settings by name (a Hash); +env+: the process's environment. Raises InvalidInput.
    def initialize(given, env: ENV)
      unknown = given.keys - NAMES
      raise InvalidInput, "unknown settings of desired_state: #{unknown.sort.join(', ')}" unless unknown.empty?

      given.each { |name, value| check_type(name, value) }
      @given = given
      @env = env
      @node_name = Name.check('node', given['node_name'])
      @environment = check_environment(given['environment'])
      @keys = Keys.new(prefix: given['prefix'] || DEFAULT_PREFIX, environment: environment)
      @patience = Float(given['patience'] || DEFAULT_PATIENCE, exception: false) ||
                  raise(InvalidInput, "patience must be a number of seconds, not #{given['patience'].inspect}")
      @state_dir = given['state_dir']
      @namespace = tenancy('namespace', 'CONSUL_NAMESPACE')
      partition = tenancy('partition', 'CONSUL_PARTITION')
      @kv = ConsulKV.new(url: url, token: token, tls: tls, namespace: namespace, partition: partition)
    end

    # The value of a key of the node's meta data: as set, else as its agent has it; '' if it has none.
    def meta(key)
      (given['meta'] || kv.node_meta(node_name)).fetch(key, '').to_s
    end

    private

    attr_reader :given, :env

    # Chef's default environment counts as none, so that nodes of two real environments never share it by oversight.
    def check_environment(environment)
      return Name.check('environment', environment) unless [nil, '_default'].include?(environment)

      raise InvalidInput, "the environment is missing; set node['desired_state']['environment'], a policy group or a Chef " \
                          'environment'
    end

    def check_type(name, value)
      case name
      when 'patience' then nil # converted
      when 'meta'
        raise InvalidInput, "meta must be texts by key, not #{value.inspect}" unless value.is_a?(Hash) && value.values.all?(String)
      when 'verify'
        raise InvalidInput, "verify must be true or false, not #{value.inspect}" unless [true, false].include?(value)
      else
        raise InvalidInput, "setting #{name} must be text, not #{value.inspect}" unless value.nil? || value.is_a?(String)
      end
    end

    def url
      address = given['consul_url'] || presence(env['CONSUL_HTTP_ADDR']) || DEFAULT_URL
      return address if address.match?(%r{\A[a-z]+://})

      "#{flag('CONSUL_HTTP_SSL', default: false) ? 'https' : 'http'}://#{address}"
    end

    def token
      path = given['token_file'] || presence(env['CONSUL_HTTP_TOKEN_FILE'])
      token = path ? File.binread(path).strip : presence(env['CONSUL_HTTP_TOKEN'])
      return token if token.nil? || token.b.match?(/\A[!-~]+\z/)

      raise InvalidInput, "#{path ? "token file #{path}" : 'CONSUL_HTTP_TOKEN'} must hold one ACL token and nothing else"
    rescue SystemCallError => e
      raise InvalidInput, "token file #{path} cannot be read: #{e.message}"
    end

    # The namespace or the partition of Consul Enterprise; nil leaves it to the token.
    def tenancy(name, variable)
      found = presence(given[name]) || presence(env[variable])
      return found if found.nil? || found.match?(TENANCY)

      raise InvalidInput, "#{name} must be 1 to 64 letters, digits or hyphens, not #{found.inspect}"
    end

    def tls
      verify = given.fetch('verify') { flag('CONSUL_HTTP_SSL_VERIFY', default: true) }
      {
        ca_file: given['ca_file'] || presence(env['CONSUL_CACERT']),
        cert_file: given['cert_file'] || presence(env['CONSUL_CLIENT_CERT']),
        key_file: given['key_file'] || presence(env['CONSUL_CLIENT_KEY']),
        verify: verify,
      }
    end

    # A boolean environment variable.
    def flag(name, default:)
      text = presence(env[name])
      return default if text.nil?
      return YES.include?(text) if YES.include?(text) || NO.include?(text)

      raise InvalidInput, "#{name} must be true or false, not #{text.inspect}"
    end

    def presence(text)
      text unless text.to_s.empty?
    end
  end
end
