# Completion of `trackleak` for fish. The command itself says what may come next.
function __trackleak
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] "$typed" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$typed"
            case :commands
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end
complete -c trackleak -f -k -a '(__trackleak)'
