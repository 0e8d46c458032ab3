# frozen_string_literal: true

# The part of this cookbook that also runs outside Chef.
module DesiredState
  # Paths of the library files that do not need Chef.
  def self.library_files
    names = Dir.glob('*.rb', base: __dir__) - %w(dsl.rb library_files.rb)
    names.sort.map { |name| File.join(__dir__, name) }
  end
end
