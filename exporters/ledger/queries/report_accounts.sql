-- Windows that end in the time that was asked for: a minute at its beginning may lie before it.
SELECT device, account, SUM(joules) AS joules
FROM accounts
WHERE window_end > ? AND window_end <= ?
GROUP BY device, account
ORDER BY device, account
