# frozen_string_literal: true

require_relative 'errors'

module DesiredState
  # What this cookbook asks of the node's platform.
  module Platform
    module_function

    # For resources that need a POSIX system. Raises UnsupportedPlatform on Windows, while recipes compile.
    def refuse_windows(resource)
      return unless resource.node['platform_family'] == 'windows'

      raise UnsupportedPlatform, "#{resource} does not run on Windows; put `unless windows?` behind it, and run chef-client " \
                                 'on an interval there: recipes and reports need nothing else'
    end
  end
end
