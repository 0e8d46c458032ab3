# frozen_string_literal: true

tiers = {
  'web' => [8080, 503, 'waiting'],
  'app' => [8081, 200, 'converged'],
  'db' => [8082, 200, 'converged'],
}

tiers.each do |tier, (port, status, state)|
  control tier do
    impact 1.0
    title "Tier #{tier} is #{state}"

    describe systemd_service("shop-#{tier}") do
      it { should_not be_enabled }
      it { should be_running }
    end

    describe http("http://127.0.0.1:#{port}/") do
      its('status') { should eq status }
      its('body') { should match(/release 2\.4\.0/) }
    end

    describe json(command: "consul kv get chefconsul/test/#{tier}/nodes/test-1") do
      its('status') { should eq 'succeeded' }
      its('state') { should eq state }
    end
  end
end

control 'migration' do
  impact 1.0
  title 'The store was migrated once'

  describe json('/srv/shop/store/schema.json') do
    its('release') { should eq '2.4.0' }
    its('migrations') { should contain_exactly(include('to' => '2.4.0')) }
  end
end
